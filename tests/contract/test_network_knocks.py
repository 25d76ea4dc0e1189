"""Who is let in by the rules of a policy, with packets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barasync.config.policies import PRESETS, Policy, Preset, Protocol, PublishedPort
from tests.contract.test_network_rules import (
    CELL4,
    CELL6,
    PEER4,
    PEER6,
    PUBLIC4,
    PUBLIC6,
    cell,
    datagrams,
)
from tests.network_policies import at

KNOCKS = {
    "public": (Preset.PUBLIC, set()),
    "private": (Preset.PRIVATE, {PEER4, PEER6}),
    "local": (Preset.LOCAL, set()),
    "isolated": (Preset.ISOLATED, set()),
}


@pytest.mark.parametrize("preset", KNOCKS)
@pytest.mark.parametrize("source", [PEER4, PEER6, PUBLIC4, PUBLIC6])
def test_who_knocks_is_let_in_where_the_preset_says_and_at_published_ports(
    preset: str, source: str
) -> None:
    base, comers = KNOCKS[preset]
    policy = Policy(name="any", base=base, ports=(PublishedPort(8080, protocol=Protocol.UDP),))
    target = CELL6 if ":" in source else CELL4

    with (
        cell(policy) as (inside, outside),
        datagrams(inside, target, 8080) as published,
        datagrams(inside, target, 9090) as other,
        datagrams(outside, source) as peer,
    ):
        outside.run(lambda: peer.sendto(b"other", (target, 9090)))
        outside.run(lambda: peer.sendto(b"published", (target, 8080)))
        data, sender = published.recvfrom(100)
        # What came earlier is there by now.
        other.setblocking(False)
        try:
            arrived = other.recv(100) == b"other"
        except BlockingIOError:
            arrived = False
        # The answer is of a known connection.
        inside.run(lambda: published.sendto(b"answer", sender))

        assert data == b"published"
        assert arrived == (source in comers)
        assert peer.recv(100) == b"answer"


def test_who_is_denied_whole_is_not_let_in_at_published_ports_either() -> None:
    policy = replace(
        PRESETS["private"],
        deny=(at(f"{PEER4}/32"),),
        ports=(PublishedPort(8080, protocol=Protocol.UDP),),
    )

    with (
        cell(policy) as (inside, outside),
        datagrams(inside, CELL4, 8080) as published,
        datagrams(inside, CELL4, 9090) as other,
        datagrams(outside, PEER4) as denied,
        datagrams(outside, PUBLIC4) as welcome,
    ):
        outside.run(lambda: denied.sendto(b"denied", (CELL4, 9090)))
        outside.run(lambda: denied.sendto(b"denied", (CELL4, 8080)))
        outside.run(lambda: welcome.sendto(b"welcome", (CELL4, 8080)))

        assert published.recv(100) == b"welcome"
        for each in (published, other):
            each.setblocking(False)
            with pytest.raises(BlockingIOError):
                each.recv(100)
