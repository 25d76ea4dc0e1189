"""Whether a listing of the kernel's is the table that was loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from barasync.networks.listing import ListingError, entries
from barasync.networks.rules import missing, ruleset
from tests.network_policies import GOLDEN, POLICIES

RICH = ruleset(*POLICIES["rich"])
VERSIONS = [path.stem.removeprefix("rich-nft-") for path in sorted(GOLDEN.glob("rich-nft-*"))]

Entries = list[dict[str, Any]]


def recorded(version: str) -> bytes:
    """What a version of nft lists where the rules of `rich` are loaded."""
    return (GOLDEN / f"rich-nft-{version}.json").read_bytes()


def changed(version: str, change: Callable[[Entries], object]) -> bytes:
    every = json.loads(recorded(version))["nftables"]
    change(every)
    return listed(every)


def listed(entries: Entries) -> bytes:
    return json.dumps({"nftables": entries}).encode()


def named(entries: Entries, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        entry[kind] for entry in entries if entry.get(kind, {}).get("name") == name
    )
    return found


def rules(entries: Entries, chain: str) -> list[int]:
    """Where in a listing the rules of a chain are."""
    return [n for n, entry in enumerate(entries) if entry.get("rule", {}).get("chain") == chain]


def swap(entries: Entries) -> None:
    first, second = rules(entries, "output")[3:5]
    entries[first], entries[second] = entries[second], entries[first]


def right_of(entries: Entries, rule: int, statement: int) -> dict[str, Any]:
    """What a statement of a rule of the chain `output` matches."""
    place = rules(entries, "output")[rule]
    found: dict[str, Any] = entries[place]["rule"]["expr"][statement]["match"]["right"]
    return found


def accept_in_front(entries: Entries) -> None:
    rule = {"family": "inet", "table": "barasync", "chain": "input", "expr": [{"accept": None}]}
    entries.insert(rules(entries, "input")[0], {"rule": rule})


def without(kind: str, name: str) -> Callable[[Entries], None]:
    return lambda entries: entries.remove({kind: named(entries, kind, name)})


CHANGES: dict[str, tuple[Callable[[Entries], object], str]] = {
    "no table": (without("table", "barasync"), "there is no table inet barasync"),
    "a table asleep": (
        lambda entries: named(entries, "table", "barasync").update(flags=["dormant"]),
        r"table barasync has the flags \['dormant'\]",
    ),
    "no chain": (without("chain", "forward"), "chain forward is missing"),
    "another chain": (
        lambda entries: entries.append({"chain": {"name": "more", "handle": 99}}),
        "chain more is not known",
    ),
    "policy accept": (
        lambda entries: named(entries, "chain", "output").update(policy="accept"),
        "chain output is 'type filter hook output priority 0; policy accept;', not '.*drop;'",
    ),
    "no hook": (
        lambda entries: named(entries, "chain", "output").pop("hook"),
        "chain output is 'None', not",
    ),
    "a rule gone": (
        lambda entries: entries.pop(rules(entries, "output")[0]),
        "rule 1 of chain output is 'ip option ssrr exists goto refused', not 'ip option lsrr",
    ),
    "the last rule gone": (
        lambda entries: entries.pop(rules(entries, "refused")[-1]),
        "chain refused has 6 rules, not 7",
    ),
    "rules swapped": (swap, "rule 4 of chain output is 'icmpv6 type"),
    "another prefix": (
        lambda entries: right_of(entries, 7, 1)["prefix"].update(len=16),
        "rule 8 of chain output is 'meta oif != lo ip daddr 127.0.0.0/16 goto refused', not",
    ),
    "a rule in front": (
        accept_in_front,
        "rule 1 of chain input is 'accept', not 'ip saddr @res",
    ),
    "a rule of words unknown": (
        lambda entries: entries[rules(entries, "input")[0]]["rule"].update(expr=[{"queue": 1}]),
        "rule 1 of chain input is '.*queue",
    ),
    "no set": (without("set", "allow1_names_ip"), "set allow1_names_ip is missing"),
    "another set": (
        lambda entries: entries.append({"set": {"name": "more", "type": "ipv4_addr"}}),
        "set more is not known",
    ),
    "an element gone": (
        lambda entries: named(entries, "set", "base_deny_ip")["elem"].pop(),
        "set base_deny_ip has other elements",
    ),
    "an element more": (
        lambda entries: named(entries, "set", "allow1_tcp")["elem"].append({"range": [22, 23]}),
        "set allow1_tcp has other elements",
    ),
    "an element of words unknown": (
        lambda entries: named(entries, "set", "allow1_tcp")["elem"].append({"jump": 1}),
        "set allow1_tcp has an element that cannot be read",
    ),
    "a set of another kind": (
        lambda entries: named(entries, "set", "refused_ip").update(type="ipv4_addr"),
        "set refused_ip is of ipv4_addr, not ipv4_addr . inet_proto . inet_service",
    ),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_missing_where_the_kernel_has_all(version: str) -> None:
    assert missing(RICH, recorded(version)) is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_named(version: str, change: str) -> None:
    make, says = CHANGES[change]

    found = missing(RICH, changed(version, make))

    assert found is not None
    assert re.match(says, found), found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("chain", ["refused", "output", "input"])
def test_every_rule_that_is_gone_or_elsewhere_is_named(version: str, chain: str) -> None:
    every = json.loads(recorded(version))["nftables"]
    places = rules(every, chain)

    for place, following in zip(places, [*places[1:], None], strict=True):
        gone = [*every[:place], *every[place + 1 :]]
        assert f"chain {chain}" in str(missing(RICH, listed(gone)))
        if following is not None:
            later = [*every]
            later[place], later[following] = every[following], every[place]
            assert f"of chain {chain} is" in str(missing(RICH, listed(later)))


@pytest.mark.parametrize("version", VERSIONS)
def test_what_packets_and_names_add_is_no_change(version: str) -> None:
    def add(entries: Entries) -> None:
        timed = {"elem": {"val": "192.0.2.9", "timeout": 60, "expires": 50}}
        key = {"concat": ["192.0.2.9", "tcp", 80]}
        counted = {"elem": {"val": key, "counter": {"packets": 1, "bytes": 60}}}
        named(entries, "set", "allow1_names_ip")["elem"] = [timed]
        named(entries, "set", "refused_ip")["elem"] = [counted]

    assert missing(RICH, changed(version, add)) is None


@pytest.mark.parametrize(
    "listing",
    [
        b"",
        b"nft: no",
        b"[]",
        b'{"nftables": null}',
        b'{"nftables": [[]]}',
        b'{"nftables":' + b"[" * 9999,
    ],
)
def test_what_is_no_listing_is_said_to_be_none(listing: bytes) -> None:
    found = missing(RICH, listing)

    assert found is not None
    assert found.startswith("nft listed its rules in words that are unknown")


def test_the_versions_that_are_said_to_work_are_those_that_are_recorded() -> None:
    with pytest.raises(ListingError) as caught:
        entries(b"", "rule")

    assert caught.value.hint == f"nft {' and '.join(VERSIONS)} are known to work"
