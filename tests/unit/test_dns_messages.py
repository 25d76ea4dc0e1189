"""What clients ask and servers answer, as it is written and as nobody should write it."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.rdatatype import RdataType

from barasync.networks.dns_messages import Query, Unreadable, lifetimes, read_query
from barasync.networks.names import Lifetime
from tests.unit.dns_zone import Records, answer_to, question

QUERY = 0x0100


def header(*counts: int, flags: int = QUERY) -> bytes:
    return struct.pack("!HHHHHH", 7, flags, *counts)


def asked(name: str, kind: str = "A", **settings: object) -> Query:
    query = read_query(question(name, kind, **settings))
    assert isinstance(query, Query)
    return query


def held(name: str, kind: str, records: Records, rcode: int = 0) -> dict[str, int]:
    answer = answer_to(question(name, kind), records, rcode).to_wire()
    return {str(one.address): one.seconds for one in lifetimes(answer)}


def rcode_of(wire: bytes) -> int:
    answer = read_query(wire)
    assert isinstance(answer, bytes)
    assert answer[:2] == wire[:2]
    return dns.message.from_wire(answer).rcode()


def test_a_query_has_a_name_in_lower_case_without_its_final_dot() -> None:
    query = asked("wWw.Example.ORG.", "AAAA")

    assert (query.name, query.type) == ("www.example.org", RdataType.AAAA)


def test_a_server_is_asked_what_the_client_asked_letter_by_letter() -> None:
    wire = question("wWw.Example.ORG", "A", use_edns=0, payload=1400, want_dnssec=True)
    query = read_query(wire)

    assert isinstance(query, Query)
    assert query.with_id(0x1234) == b"\x12\x34" + wire[2:]


def test_a_dot_within_a_label_is_none_between_labels() -> None:
    wire = header(1, 0, 0, 0) + b"\x0bwww.example\x03org\x00" + struct.pack("!HH", 1, 1)
    query = read_query(wire)

    assert isinstance(query, Query)
    assert query.name != "www.example.org"


@pytest.mark.parametrize(
    ("wire", "rcode"),
    [
        (header(0, 0, 0, 0), dns.rcode.FORMERR),
        (header(2, 0, 0, 0) + b"\x00\x00\x01\x00\x01" * 2, dns.rcode.FORMERR),
        (header(1, 1, 0, 0) + b"\x00\x00\x01\x00\x01", dns.rcode.FORMERR),
        (header(1, 0, 0, 0) + b"\x05short", dns.rcode.FORMERR),
        (header(1, 0, 0, 0) + b"\xc0\x0c\x00\x01\x00\x01", dns.rcode.FORMERR),
        (header(1, 0, 0, 0) + b"\xc0\xff\x00\x01\x00\x01", dns.rcode.FORMERR),
        (header(1, 0, 0, 0) + b"\x80\x00\x00\x01\x00\x01", dns.rcode.FORMERR),
        (header(1, 0, 0, 0) + b"\x00\x00\x01\x00\x01" + bytes(1024), dns.rcode.FORMERR),
        (header(1, 0, 0, 0, flags=0x2800) + b"\x00\x00\x06\x00\x01", dns.rcode.NOTIMP),
        (header(1, 0, 0, 0, flags=0x3800) + b"\x00\x00\x06\x00\x01", dns.rcode.NOTIMP),
        (header(1, 0, 0, 0) + b"\x07version\x04bind\x00\x00\x10\x00\x03", dns.rcode.REFUSED),
    ],
    ids=[
        "no question",
        "two questions",
        "a record",
        "cut short",
        "a name that points at itself",
        "a name that points ahead",
        "a label of no kind",
        "too long",
        "an update",
        "an operation of no name",
        "another class",
    ],
)
def test_what_is_no_question_for_us_is_answered_with_an_error(wire: bytes, rcode: int) -> None:
    assert rcode_of(wire) == rcode


@pytest.mark.parametrize("wire", [b"", bytes(11), header(1, 0, 0, 0, flags=0x8180)])
def test_what_is_no_query_gets_no_answer(wire: bytes) -> None:
    assert read_query(wire) is None


def test_only_an_answer_to_the_same_question_is_one() -> None:
    query = asked("www.example.org")
    answer = answer_to(query.with_id(5), [("www.example.org", 9, "A", "192.0.2.1")]).to_wire()
    other = answer_to(asked("www.example.net").with_id(5)).to_wire()

    assert query.is_answered_by(answer, 5)
    assert query.is_answered_by(answer.replace(b"example", b"EXAMPLE"), 5)
    assert not query.is_answered_by(answer, 6)
    assert not query.is_answered_by(other, 5)
    assert not query.is_answered_by(query.with_id(5), 5)
    assert not query.is_answered_by(answer[:20], 5)


def test_the_client_gets_a_servers_answer_under_its_own_id() -> None:
    query = asked("www.example.org")
    answer = answer_to(query.with_id(5), [("www.example.org", 9, "A", "192.0.2.1")]).to_wire()

    assert query.answer_of_server(answer) == query.asked[:2] + answer[2:]


def test_the_addresses_of_a_cell_are_those_of_the_family_asked_for() -> None:
    addresses = [ip_address("10.89.0.2"), ip_address("fd00::2")]
    texts = {}
    for kind in ("A", "AAAA", "MX"):
        answer = dns.message.from_wire(asked("dB", kind).answer_with(addresses))
        texts[kind] = [record.to_text() for record in answer.answer]
        assert answer.rcode() == dns.rcode.NOERROR
        assert answer.flags & dns.flags.RA

    assert texts == {"A": ["dB. 5 IN A 10.89.0.2"], "AAAA": ["dB. 5 IN AAAA fd00::2"], "MX": []}


def test_many_addresses_are_cut_to_a_datagram() -> None:
    answer = asked("db").answer_with([ip_address(number) for number in range(1, 200)])

    assert len(answer) <= 512
    assert dns.message.from_wire(answer).flags & dns.flags.TC


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2.0.89.10.in-addr.arpa", "10.89.0.2"),
        (ip_address("fd00::2").reverse_pointer, "fd00::2"),
        ("89.10.in-addr.arpa", None),
        ("x.0.89.10.in-addr.arpa", None),
        ("example.org", None),
    ],
)
def test_a_question_for_a_name_is_about_an_address(name: str, expected: str | None) -> None:
    query = asked(name, "PTR")

    assert query.reversed_address == (None if expected is None else ip_address(expected))
    assert asked(name, "A").reversed_address is None


def test_addresses_hold_as_long_as_the_record_that_ends_first() -> None:
    chain = [
        ("www.example.org", 300, "CNAME", "cdn.example.net."),
        ("cdn.example.net", 20, "CNAME", "edge.example.net."),
        ("edge.example.net", 60, "A", "192.0.2.1"),
        ("edge.example.net", 60, "A", "192.0.2.2"),
    ]

    assert held("WWW.example.org", "A", chain) == {"192.0.2.1": 20, "192.0.2.2": 20}
    assert held("edge.example.net", "A", chain) == {"192.0.2.1": 60, "192.0.2.2": 60}


def test_only_the_end_of_the_chain_counts() -> None:
    records = [
        ("www.example.org", 300, "CNAME", "cdn.example.net."),
        ("cdn.example.net", 20, "A", "192.0.2.1"),
        ("other.example.net", 20, "A", "192.0.2.66"),
    ]

    assert held("www.example.org", "A", records) == {"192.0.2.1": 20}


def test_an_alias_of_a_domain_counts_by_the_alias_that_comes_with_it() -> None:
    domain = ("example.org", 30, "DNAME", "example.net.")
    alias = ("www.example.org", 30, "CNAME", "www.example.net.")
    address = ("www.example.net", 60, "AAAA", "2001:db8::1")

    assert held("www.example.org", "AAAA", [domain, alias, address]) == {"2001:db8::1": 30}
    assert held("www.example.org", "AAAA", [domain, address]) == {}


def test_a_chain_without_an_end_has_no_addresses() -> None:
    loop = [
        ("a.example.org", 9, "CNAME", "b.example.org."),
        ("b.example.org", 9, "CNAME", "a.example.org."),
    ]

    assert held("a.example.org", "A", loop) == {}
    assert held("a.example.org", "A", loop[:1]) == {}


def test_a_question_for_all_records_has_the_addresses_of_both_families() -> None:
    records = [
        ("example.org", 50, "A", "192.0.2.1"),
        ("example.org", 40, "AAAA", "2001:db8::1"),
        ("example.org", 30, "TXT", "text"),
    ]

    assert held("example.org", "ANY", records) == {"192.0.2.1": 50, "2001:db8::1": 40}
    assert held("example.org", "TXT", records) == {}


def test_an_answer_that_is_an_error_has_no_addresses() -> None:
    records = [("example.org", 50, "A", "192.0.2.1")]

    assert held("example.org", "A", records, dns.rcode.NXDOMAIN) == {}


def test_an_answer_has_a_bounded_number_of_addresses() -> None:
    records = [("example.org", 50, "A", f"198.18.0.{number}") for number in range(200)]

    assert len(held("example.org", "A", records)) == 64


def test_what_is_no_answer_at_all_cannot_be_read() -> None:
    answer = answer_to(question("example.org"), [("example.org", 50, "A", "192.0.2.1")]).to_wire()

    assert lifetimes(answer + b"more") == (Lifetime(ip_address("192.0.2.1"), 50),)
    with pytest.raises(Unreadable, match="cannot be read"):
        lifetimes(answer[:-2])
