"""What a network did not let out, in a sentence, with what would let it through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from barasync.config.policies import PRESETS, Default, Policy, Preset
from barasync.networks.advice import Advice, advice, refused_line
from barasync.networks.refused import Refusal
from barasync.networks.rules import Surroundings
from tests.network_policies import AROUND, WEB, at, named

WEB_SERVER = Refusal("198.51.100.7", "tcp", 443, 3)


def test_a_preset_is_told_with_the_preset_and_the_table_that_let_it_through() -> None:
    assert refused_line(PRESETS["private"], AROUND, [WEB_SERVER], 3) == (
        "its network 'private' refused 198.51.100.7 443/tcp (3 packets);"
        " `--network public` (without private addresses and loopback) or"
        ' `allow = ["198.51.100.7 443/tcp"]` in a table [network.NAME] with `base = "private"`'
        " lets the first through"
    )


def test_a_table_is_told_with_its_own_keys() -> None:
    table = Policy(name="shop", base=Preset.PRIVATE)

    assert refused_line(table, AROUND, [WEB_SERVER], 3) == (
        "its network 'shop' refused 198.51.100.7 443/tcp (3 packets);"
        ' `base = "public"` (without private addresses and loopback) or'
        ' `allow = ["198.51.100.7 443/tcp"]` lets the first through'
    )


def test_of_many_refusals_a_few_are_told() -> None:
    refused = [Refusal(f"10.0.0.{number}", "udp", 80, 9 - number) for number in range(9)]

    line = refused_line(PRESETS["public"], AROUND, refused, sum(each.packets for each in refused))

    assert (
        "10.0.0.0 80/udp (9 packets), 10.0.0.1 80/udp (8 packets), 10.0.0.2 80/udp (7 packets)"
        " and 6 more;" in line
    )
    assert "10.0.0.8 80/udp (1 packet)" in refused_line(PRESETS["public"], AROUND, refused[8:], 1)


def test_what_its_own_deny_refuses_is_told_with_the_entry_and_no_allow() -> None:
    table = Policy(
        name="shop", base=Preset.PUBLIC, deny=(at("10.9.0.0/16"), at("198.51.100.0/24", *WEB))
    )

    assert refused_line(table, AROUND, [WEB_SERVER], 3) == (
        "its network 'shop' refused 198.51.100.7 443/tcp (3 packets);"
        " entry [1] of its `deny`, '198.51.100.0/24', counts before any `allow`"
    )


def test_a_name_of_deny_may_be_the_reason() -> None:
    table = Policy(name="shop", base=Preset.PRIVATE, deny=(named("evil.example"),))

    assert advice(table, AROUND, WEB_SERVER) == Advice(
        why="entry [0] of its `deny`, 'evil.example', may have its address and counts before any"
        " `allow`"
    )


def test_a_foreign_resolver_is_allowed_by_an_entry_and_by_no_base() -> None:
    assert advice(PRESETS["private"], AROUND, Refusal("8.8.8.8", "udp", 53, 1)) == Advice(
        entry="8.8.8.8 53/udp", why="port 53 is that of the network's resolver alone"
    )


@pytest.mark.parametrize(
    ("protocol", "port", "entry"),
    [
        ("sctp", 9, "198.51.100.7"),
        ("47", None, "198.51.100.7"),
        ("tcp", 0, "198.51.100.7"),
        ("icmp", None, "198.51.100.7 icmp"),
    ],
)
def test_a_protocol_that_no_entry_names_is_allowed_by_its_address(
    protocol: str, port: int | None, entry: str
) -> None:
    found = advice(PRESETS["private"], AROUND, Refusal("198.51.100.7", protocol, port, 1))

    assert found == Advice(entry=entry, base=Preset.PUBLIC)


@pytest.mark.parametrize(
    ("preset", "address", "base"),
    [
        ("isolated", "127.0.0.1", Preset.LOCAL),
        ("isolated", "::1", Preset.LOCAL),
        ("local", "192.168.1.1", Preset.PRIVATE),
        ("public", "fd00:9::1", Preset.PRIVATE),
        ("private", "2001:db8::1", Preset.PUBLIC),
        # Metadata, the host's own, and what embeds private addresses.
        ("public", "fd00:ec2::254", None),
        ("private", "168.63.129.16", None),
        ("private", "169.254.169.254", None),
        ("private", "203.0.113.50", None),
        ("public", "203.0.113.50", None),
        ("private", "64:ff9b::a00:1", None),
        ("private", "192.88.99.1", None),
        ("private", "100.64.0.1", None),
        ("private", "224.0.0.251", None),
    ],
)
def test_a_base_is_named_where_it_reaches_the_address(
    preset: str, address: str, base: Preset | None
) -> None:
    found = advice(PRESETS[preset], AROUND, Refusal(address, "icmp", None, 1))

    assert found == Advice(entry=f"{address} icmp", base=base)


@pytest.mark.parametrize("changed", [{"internal": True}, {"default": Default.ACCEPT}])
def test_no_base_is_named_that_the_configuration_does_not_take_there(
    changed: dict[str, Any],
) -> None:
    table = replace(Policy(name="shop", base=Preset.PRIVATE), **changed)

    assert advice(table, AROUND, Refusal("168.63.129.16", "tcp", 80, 1)).base is None
    assert advice(table, AROUND, WEB_SERVER).base is None


def test_without_ipv6_no_entry_has_an_address_of_it() -> None:
    table = Policy(name="shop", base=Preset.PRIVATE, ipv6=False)

    found = advice(table, AROUND, Refusal("fd00:ec2::254", "tcp", 80, 1))

    assert found == Advice()
    assert refused_line(table, AROUND, [Refusal("fd00:ec2::254", "tcp", 80, 1)], 1).endswith(
        "; no `allow` can name the first"
    )


def test_what_is_allowed_was_refused_for_its_route() -> None:
    table = Policy(name="shop", base=Preset.ISOLATED, allow=(at("198.51.100.0/24"),))

    assert advice(table, Surroundings(), WEB_SERVER) == Advice(
        why="its destination is allowed, but not by a source route (RFC 791)"
    )


def test_what_is_allowed_of_loopback_was_refused_on_another_interface() -> None:
    refusal = Refusal("127.0.0.1", "tcp", 80, 1)

    assert advice(PRESETS["private"], Surroundings(), refusal) == Advice(
        why="its destination is allowed, but by the loopback interface alone"
    )
