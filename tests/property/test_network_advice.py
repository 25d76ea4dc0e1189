"""What is advised about a refused packet makes it pass, by the meaning of the policies."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given

from barasync.config.destinations import parse_entry
from barasync.config.policies import Policy, Protocol
from barasync.networks.advice import Advice, advice
from barasync.networks.refused import Refusal
from barasync.networks.rules import Surroundings
from tests.network_oracle import Known, Packet, known_names, may_go, packets, policies, surroundings


def advised(policy: Policy, around: Surroundings, packet: Packet) -> Advice:
    port = None if packet.protocol is Protocol.ICMP else packet.port
    return advice(policy, around, Refusal(str(packet.address), packet.protocol, port, 1))


@given(policies, surroundings, packets, known_names)
def test_what_is_advised_lets_the_packet_through(
    policy: Policy, around: Surroundings, packet: Packet, known: Known
) -> None:
    # What has a foreign source is dropped uncounted, and what is astray passes by no policy.
    assume(not packet.forged and not packet.astray and not may_go(policy, around, packet, known))

    found = advised(policy, around, packet)

    if found.entry is not None:
        wider = replace(policy, allow=(*policy.allow, parse_entry(found.entry)))
        assert may_go(wider, around, packet, known)
    if found.base is not None:
        assert may_go(replace(policy, base=found.base), around, packet, known)


@given(policies, surroundings, packets)
def test_nothing_is_advised_only_where_an_entry_denies_it(
    policy: Policy, around: Surroundings, packet: Packet
) -> None:
    # What has a foreign source is dropped uncounted, and what is astray passes by no policy.
    assume(not packet.forged and not packet.astray and not may_go(policy, around, packet, {}))

    found = advised(policy, around, packet)

    names = any(entry.name is not None for entry in policy.deny)
    denied = not may_go(
        replace(policy, allow=(parse_entry(str(packet.address)),)), around, packet, {}
    )
    assert (found.entry is None) == (found.why is not None and "`deny`" in found.why)
    assert denied or names or found.entry is not None
