"""What a policy refused, from the kernel's listing."""

from __future__ import annotations

import msgspec
import pytest

from barasync.networks.listing import LONGEST, ListingError
from barasync.networks.refused import Refusal, refusals, refused_packets


def listed(name: str, *elements: tuple[list[str | int], int]) -> dict[str, object]:
    """A set as nft lists it, with packets for each key."""
    elem = [
        {"elem": {"val": {"concat": key}, "counter": {"packets": packets, "bytes": 60 * packets}}}
        for key, packets in elements
    ]
    return {"set": {"family": "inet", "name": name, "table": "barasync", "elem": elem}}


def listing(*sets: dict[str, object]) -> bytes:
    return msgspec.json.encode({"nftables": [{"metainfo": {"version": "1.0.6"}}, *sets]})


def test_most_packets_come_first_with_and_without_ports() -> None:
    counted = listing(
        listed("refused_ip", (["198.51.100.9", "tcp", 80], 2), (["198.51.100.9", "udp", 53], 5)),
        listed("refused_ip6"),
        listed("refused_other_ip", (["198.51.100.7", "icmp"], 3)),
        listed("refused_other_ip6", (["2001:db8::7", "ipv6-icmp"], 1), (["2001:db8::7", 253], 9)),
        listed("deny1_names_ip"),
    )

    assert refusals(counted) == (
        Refusal("2001:db8::7", "253", None, 9),
        Refusal("198.51.100.9", "udp", 53, 5),
        Refusal("198.51.100.7", "icmp", None, 3),
        Refusal("198.51.100.9", "tcp", 80, 2),
        Refusal("2001:db8::7", "icmp", None, 1),
    )


def test_a_protocol_has_its_name_where_nft_knows_none() -> None:
    counted = listing(listed("refused_ip", (["198.51.100.9", 6, 80], 2)))

    assert refusals(counted) == (Refusal("198.51.100.9", "tcp", 80, 2),)


def test_a_hundred_are_reported_of_however_many() -> None:
    ports = range(1, 1025)
    counted = listing(listed("refused_ip", *((["198.51.100.9", "tcp", n], n) for n in ports)))

    found = refusals(counted)

    assert [refusal.packets for refusal in found] == list(range(1024, 924, -1))


def test_without_counters_there_is_nothing() -> None:
    assert refusals(listing()) == ()
    assert refused_packets(listing()) == 0


def test_all_refused_packets_are_counted_whatever_is_known_of_their_destinations() -> None:
    new = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}
    counter = {"counter": {"packets": 5000, "bytes": 300_000}}
    rules = [
        {"rule": {"chain": "refused", "expr": [new, counter]}},
        {"rule": {"chain": "refused", "expr": [{"reject": {"type": "tcp reset"}}]}},
        {"rule": {"chain": "output", "expr": [counter, {"accept": None}]}},
    ]

    assert refused_packets(listing(*rules)) == 5000


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"[]",
        b"{}",
        b'{"nftables": [7]}',
        b'{"nftables": [{"set": {"name": "refused_ip", "elem": [{"elem": {}}]}}]}',
        b'{"nftables": [{"set": {"name": "refused_ip", "elem": ["198.51.100.9"]}}]}',
        b'{"nftables": []}' + b" " * LONGEST,
    ],
)
def test_what_nft_does_not_list_is_an_error(words: bytes) -> None:
    with pytest.raises(ListingError, match="nft listed"):
        refusals(words)
