"""Messages of DNS: what a client asks, what a server answers, and what that allows for how long.

Whoever sends them may be hostile: what cannot be read is no exception, and costs no more than its
length.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from barasync.config.policies import Address
from barasync.networks.names import Lifetime

LONGEST_QUERY = 1024
"""Bytes of a query. One question and its options take far less; reading costs what it is long."""

OWN_SECONDS = 5
"""How long the name of a cell has its address: the cell's next attempt has another one."""

_HEADER = 12
_PLAIN_DATAGRAM = 512  # RFC 1035, 4.2.1: without EDNS no more
_DATAGRAM = 1232  # what reaches everybody in one piece (DNS flag day 2020)
_LONGEST_CHAIN = 16
_MOST_ADDRESSES = 64
_LONGEST_NAME = 253
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_FAMILY = {RdataType.A: 4, RdataType.AAAA: 6}


@dataclass(frozen=True, slots=True)
class Query:
    """One question of a client.

    `name` is in lower case and without the final dot. `asked` is what a server is to be asked: the
    question, flags and options of the client, written anew.
    """

    name: str
    type: RdataType
    asked: bytes
    message: dns.message.Message

    def with_id(self, number: int) -> bytes:
        """Return the query for a server, with an ID that only the server is told."""
        return number.to_bytes(2, "big") + self.asked[2:]

    def is_answered_by(self, answer: bytes, number: int) -> bool:
        """Tell whether `answer` is one to this question, asked with the ID `number`.

        Servers may write the name in another case.
        """
        name = self.message.question[0].name.to_wire()
        assert name is not None
        end = _HEADER + len(name) + 4
        return (
            answer[:2] == number.to_bytes(2, "big")
            and len(answer) >= end
            and bool(answer[2] & 0x80)
            and answer[4:6] == b"\x00\x01"
            and answer[_HEADER:end].lower() == self.asked[_HEADER:end].lower()
        )

    def answer_of_server(self, answer: bytes) -> bytes:
        """Return a server's answer with the ID that the client gave its question."""
        return self.message.id.to_bytes(2, "big") + answer[2:]

    def answer(self, rcode: Rcode, records: Iterable[dns.rrset.RRset] = ()) -> bytes:
        """Return an answer of our own."""
        response = dns.message.make_response(
            self.message, recursion_available=True, our_payload=_DATAGRAM, pad=0
        )
        response.set_rcode(rcode)
        response.answer.extend(records)
        longest = min(max(self.message.payload, _PLAIN_DATAGRAM), _DATAGRAM)
        return response.to_wire(max_size=longest, prefer_truncation=True)

    def answer_with(self, addresses: Iterable[Address]) -> bytes:
        """Return those of the addresses of a cell that were asked for; it may be none."""
        texts = [str(address) for address in addresses if address.version == _FAMILY.get(self.type)]
        if not texts:
            return self.answer(Rcode.NOERROR)
        return self.answer(Rcode.NOERROR, [self._record(texts)])

    def answer_with_name(self, name: str) -> bytes:
        """Return the name of the cell whose address was asked about.

        Not all names of cells are such of hosts; where it is none, the address has no name.
        """
        if not _is_host_name(name):
            return self.answer(Rcode.NXDOMAIN)
        return self.answer(Rcode.NOERROR, [self._record([f"{name}."])])

    def _record(self, texts: list[str]) -> dns.rrset.RRset:
        owner = self.message.question[0].name
        return dns.rrset.from_text_list(owner, OWN_SECONDS, "IN", self.type, texts)

    @property
    def reversed_address(self) -> Address | None:
        """The address that a question for a PTR record is about."""
        if self.type is not RdataType.PTR:
            return None
        try:
            text = dns.reversename.to_address(self.message.question[0].name)
            return ipaddress.ip_address(text)
        except (dns.exception.DNSException, ValueError):
            return None


def _is_host_name(name: str) -> bool:
    """Tell whether it may be a host's (RFC 1123, 2.1), or has an underscore, which is let pass.

    Source: `res_hnok` of glibc.
    """
    return len(name) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, name.split(".")))


def read_query(wire: bytes) -> Query | bytes | None:
    """Return the query of a message, else what to answer instead; `None` for no answer at all.

    A query has one question, no records, and at most the options of EDNS; what is signed for a
    server (TSIG) is not for us.

    Source: RFC 1035, 4.1; RFC 6891.
    """
    if len(wire) < _HEADER or wire[2] & 0x80:
        return None
    if dns.opcode.from_flags(int.from_bytes(wire[2:4], "big")) is not dns.opcode.QUERY:
        return _bare_answer(wire, Rcode.NOTIMP)
    counts = wire[4:_HEADER]
    if len(wire) > LONGEST_QUERY or counts not in _COUNTS:
        return _bare_answer(wire, Rcode.FORMERR)
    try:
        message = dns.message.from_wire(wire)
        asked = message.to_wire()
    except dns.exception.DNSException:
        return _bare_answer(wire, Rcode.FORMERR)
    question = message.question[0]
    # Only the wire has classes by number: what is not the internet's has no names that we know.
    if question.rdclass is not dns.rdataclass.IN:
        return _bare_answer(wire, Rcode.REFUSED)
    name = question.name.to_text(omit_final_dot=True).lower()
    return Query(name=name, type=question.rdtype, asked=asked, message=message)


# One question; no answers, no authorities; nothing else, or EDNS.
_COUNTS = frozenset({b"\0\1\0\0\0\0\0\0", b"\0\1\0\0\0\0\0\1"})


def _bare_answer(wire: bytes, rcode: Rcode) -> bytes:
    """Return an answer without the question, to what could not be read."""
    opcode_and_recursion = wire[2] & 0x79
    return wire[:2] + bytes((0x80 | opcode_and_recursion, 0x80 | rcode)) + bytes(8)


def failure(wire: bytes) -> bytes:
    """Return the answer to a question over which something went wrong, whatever is in it."""
    recursion = wire[2] & 0x01
    return wire[:2] + bytes((0x80 | recursion, 0x80 | Rcode.SERVFAIL)) + wire[4:]


def failed(answer: bytes) -> bool:
    """Tell whether a server's answer says that it cannot answer, so that another may."""
    return answer[3] & 0x0F in {Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED}


def says_absent(answer: bytes) -> bool:
    """Tell whether an answer of a server says that there is no such name, or none that it leads to.

    Source: RFC 2308, 2.1; RFC 6604, 3.
    """
    return answer[3] & 0x0F == Rcode.NXDOMAIN


class Unreadable(Exception):
    """An answer that cannot be read."""


def lifetimes(answer: bytes) -> tuple[Lifetime, ...]:
    """Return the addresses that an answer gives to the name asked for, at most 64, once each.

    They are those at the end of its chain of aliases and nothing else that the answer contains; an
    alias of a whole domain (DNAME) comes with one of the name. Each holds as long as the record of
    the chain that ends first. A chain without an end has no addresses.

    Raises:
        Unreadable: it is no message of DNS.

    Source: RFC 1034, 3.6.2; RFC 6672, 3.
    """
    try:
        message = dns.message.from_wire(answer, ignore_trailing=True)
    except dns.exception.DNSException as error:
        raise Unreadable(f"the answer cannot be read: {error}") from error
    if message.rcode() is not Rcode.NOERROR or len(message.question) != 1:
        return ()
    asked = message.question[0]
    found: dict[Address, Lifetime] = {}
    for lifetime in _at_the_end(message, asked.name, asked.rdtype):
        found.setdefault(lifetime.address, lifetime)
    return tuple(found.values())[:_MOST_ADDRESSES]


def _at_the_end(
    message: dns.message.Message, owner: dns.name.Name, kind: RdataType
) -> Iterator[Lifetime]:
    kinds = _FAMILY if kind is RdataType.ANY else {kind} & _FAMILY.keys()
    seconds: int | None = None
    for _ in range(_LONGEST_CHAIN):
        ends = [rrset for of in kinds if (rrset := _records(message, owner, of)) is not None]
        for rrset in ends:
            least = rrset.ttl if seconds is None else min(seconds, rrset.ttl)
            yield from (Lifetime(ipaddress.ip_address(rdata.address), least) for rdata in rrset)
        alias = _records(message, owner, RdataType.CNAME)
        if ends or alias is None:
            return
        seconds = alias.ttl if seconds is None else min(seconds, alias.ttl)
        owner = alias[0].target


def _records(
    message: dns.message.Message, owner: dns.name.Name, kind: RdataType
) -> dns.rrset.RRset | None:
    return message.get_rrset(message.answer, owner, dns.rdataclass.IN, kind)


def load_record_types() -> None:
    """Import what reads the records of every type; blocks.

    Else dnspython imports each when the first record of it comes: from files, in the event loop.
    """
    dns.rdata.load_all_types()  # type: ignore[no-untyped-call]
