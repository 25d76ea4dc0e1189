"""Whatever comes as a message of DNS: it is read or it is not, and nothing else happens."""

from __future__ import annotations

import string
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from hypothesis import given
from hypothesis import strategies as st

from barasync.networks.dns_messages import LONGEST_QUERY, Query, Unreadable, lifetimes, read_query

LABEL = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(lambda labels: ".".join(labels) + ".")
FEW_NAMES = st.sampled_from(["a.example.", "b.example.", "c.example.", "d.example."])
HEADER = st.binary(min_size=12, max_size=12)
# What is nearly a query: one question, and something after it.
NEARLY = st.builds(
    lambda flags, name, rest: b"\x01\x02" + flags + b"\0\1\0\0\0\0\0\1" + name + rest,
    st.sampled_from([b"\x01\x00", b"\x00\x00", b"\x01\x20"]),
    st.sampled_from(
        [b"\x03www\x00\x00\x01\x00\x01", b"\x00\x00\xff\x00\x01", b"\xc0\x0c", b"\x3f"]
    ),
    st.binary(max_size=80),
)


def reads_or_answers(wire: bytes) -> None:
    read = read_query(wire)
    if isinstance(read, Query):
        assert read.with_id(5)[:2] == b"\0\5"
        assert dns.message.from_wire(read.asked).question == read.message.question
        read.answer_with([IPv4Address(1), IPv6Address(1)])
        assert read.reversed_address is None or read.type == dns.rdatatype.PTR
    elif read is not None:
        assert len(read) == 12
        assert read[:2] == wire[:2]
        assert read[2] & 0x80


@given(st.one_of(st.binary(max_size=200), NEARLY, st.binary(min_size=LONGEST_QUERY - 5)))
def test_any_bytes_of_a_client_are_read_or_answered_with_a_header(wire: bytes) -> None:
    reads_or_answers(wire)


@given(NAME, st.integers(0, 65535), st.integers(0, 300), st.data())
def test_a_query_with_some_bytes_changed_is_read_or_answered(
    name: str, kind: int, place: int, data: st.DataObject
) -> None:
    wire = bytearray(dns.message.make_query(name, dns.rdatatype.RdataType.make(kind)).to_wire())
    wire[place % len(wire)] = data.draw(st.integers(0, 255))

    reads_or_answers(bytes(wire))


@given(NAME, st.sampled_from(["A", "AAAA", "TXT", "PTR"]), st.integers(0, 65535))
def test_a_query_for_a_server_is_that_of_the_client_but_for_its_id(
    name: str, kind: str, number: int
) -> None:
    wire = dns.message.make_query(name, kind, use_edns=0).to_wire()
    query = read_query(wire)

    assert isinstance(query, Query)
    assert query.name == name[:-1].lower()
    assert query.with_id(number)[2:] == wire[2:]


# What configurations and their cells may be called.
CELL = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)


@given(st.one_of(NAME.map(lambda name: name[:-1]), CELL, st.text(max_size=300)))
def test_whatever_a_cell_is_called_its_address_is_asked_for_a_name(name: str) -> None:
    query = read_query(dns.message.make_query("9.0.89.10.in-addr.arpa", "PTR").to_wire())
    assert isinstance(query, Query)

    answer = dns.message.from_wire(query.answer_with_name(name))

    found = [rdata.to_text() for rrset in answer.answer for rdata in rrset]
    assert found == ([f"{name}."] if is_host_name(name) else [])
    assert (answer.rcode() == dns.rcode.NOERROR) == bool(found)


def is_host_name(name: str) -> bool:
    """RFC 1123, 2.1, and underscores, which the C libraries let pass."""
    labels = name.split(".")
    allowed = set(string.ascii_letters + string.digits + "-_")
    return len(name) <= 253 and all(
        0 < len(label) <= 63 and set(label) <= allowed and label == label.strip("-")
        for label in labels
    )


RECORD = st.one_of(
    st.tuples(FEW_NAMES, st.integers(0, 500), st.just("CNAME"), FEW_NAMES),
    st.tuples(FEW_NAMES, st.integers(0, 500), st.just("A"), st.ip_addresses(v=4).map(str)),
    st.tuples(FEW_NAMES, st.integers(0, 500), st.just("AAAA"), st.ip_addresses(v=6).map(str)),
)


def answer(records: list[tuple[str, int, str, str]]) -> bytes:
    asked = dns.message.make_query("a.example.", "A")
    response = dns.message.make_response(asked)
    response.answer = [
        dns.rrset.from_text(owner, seconds, "IN", kind, data)
        for owner, seconds, kind, data in records
    ]
    return response.to_wire()


@given(st.lists(RECORD, max_size=12))
def test_addresses_are_those_that_the_name_leads_to(
    records: list[tuple[str, int, str, str]],
) -> None:
    reached, seconds = {"a.example."}, [600]
    for _ in records:
        for owner, lasts, kind, data in records:
            if kind == "CNAME" and owner in reached:
                reached.add(data)
                seconds.append(lasts)
    possible = {data for owner, _, kind, data in records if kind == "A" and owner in reached}
    found = lifetimes(answer(records))

    assert {str(one.address) for one in found} <= possible
    assert all(0 <= one.seconds <= 500 for one in found)
    direct = {data for owner, _, kind, data in records if (owner, kind) == ("a.example.", "A")}
    if direct:
        assert {str(one.address) for one in found} == direct


@given(st.lists(RECORD, max_size=6), st.integers(0, 2000), st.integers(0, 255))
def test_an_answer_with_a_byte_changed_is_read_or_not(
    records: list[tuple[str, int, str, str]], place: int, byte: int
) -> None:
    wire = bytearray(answer(records))
    wire[place % len(wire)] = byte

    with suppress(Unreadable):
        lifetimes(bytes(wire))


@given(
    st.one_of(st.binary(max_size=300), st.builds(bytes.__add__, HEADER, st.binary(max_size=300)))
)
def test_any_bytes_of_a_server_are_read_or_not(wire: bytes) -> None:
    with suppress(Unreadable):
        lifetimes(wire)
