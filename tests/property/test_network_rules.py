"""The rules of policies, read as nft would, against the meaning of the policies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given, settings
from hypothesis import strategies as st

from barasync.config.policies import Address, Policy, Protocol, PublishedPort
from barasync.networks.addresses import may_be_named
from barasync.networks.names import Names
from barasync.networks.rules import Surroundings, decisive, ruleset
from tests.network_oracle import (
    PORTS,
    Packet,
    addresses,
    known_names,
    may_come,
    may_go,
    packets,
    policies,
    surroundings,
)

NUMBERS = {(Protocol.TCP, 4): 6, (Protocol.UDP, 4): 17, (Protocol.ICMP, 4): 1}
NUMBERS |= {(Protocol.TCP, 6): 6, (Protocol.UDP, 6): 17, (Protocol.ICMP, 6): 58}

MATCH = re.compile(
    r"(ct state|fib saddr type|meta \w+|ip6? [sd]addr|ip6 hoplimit|(?:tcp|udp|th) dport"
    r"|icmp(?:v6)? type|ip option \w+|exthdr \w+) (!= )?(\{[^}]*\}|\S+) "
)

Facts = Mapping[str, Address | int | str]


class Machine:
    """Chains and sets of a transaction, and what they make of a packet."""

    def __init__(self, text: str) -> None:
        self.sets: dict[str, set[str]] = {}
        self.chains: dict[str, list[str]] = {}
        for kind, name, body in re.findall(
            r"\t(set|chain) (\w+) \{\n(.*?)\n?\t\}\n", text, re.DOTALL
        ):
            lines = [line.strip() for line in body.split("\n") if "\ttype " not in line]
            if kind == "set":
                elements = re.findall(r"elements = \{ (.*) \}", body)
                self.sets[name] = set(elements[0].split(", ")) if elements else set()
            else:
                self.chains[name] = lines

    def feed(self, text: str) -> None:
        for verb, name, address in re.findall(
            r"(\w+) element inet barasync (\w+) \{ (\S+)[^}]*\}\n", text
        ):
            change = {"add": self.sets[name].add, "delete": self.sets[name].remove}
            change[verb](address)

    def verdict(self, chain: str, facts: Facts) -> str:
        for rule in self.chains[chain]:
            if " update @refused_" in rule or rule.endswith(" counter"):
                continue
            matches = MATCH.findall(f"{rule} ")
            last = MATCH.sub("", f"{rule} ").strip()
            words = last.split()
            assert words[0] in {"accept", "drop", "goto", "reject"}, f"cannot be read: {rule}"
            if all(self._matches(facts, *match) for match in matches):
                return self.verdict(words[1], facts) if words[0] == "goto" else words[0]
        return "drop"

    def _matches(self, facts: Facts, key: str, other: str, wanted: str) -> bool:
        if key not in facts:
            return False
        value = facts[key]
        if wanted.startswith("@"):
            found = any(_is_in(value, element) for element in self.sets[wanted[1:]])
        elif isinstance(value, IPv4Address | IPv6Address):
            found = _is_in(value, wanted)
        else:
            found = str(value) in wanted.strip("{ }").split(", ")
        return found != bool(other)


def _is_in(value: Address | int | str, element: str) -> bool:
    first, _, last = element.partition("-")
    if isinstance(value, int):
        return int(first) <= value <= int(last or first)
    assert not isinstance(value, str)
    if last:
        return int(ipaddress.ip_address(first)) <= int(value) <= int(ipaddress.ip_address(last))
    return value in ipaddress.ip_network(element)


def facts(packet: Packet, side: str, interface: str) -> Facts:
    version = packet.address.version
    header = {4: "ip", 6: "ip6"}[version]
    found: dict[str, Address | int | str] = {
        "ct state": "new",
        interface: "lo" if packet.over_loopback else "eth0",
        f"{header} {side}": packet.address,
        "meta l4proto": NUMBERS[packet.protocol, version],
        "th dport": packet.port,
    }
    if side == "daddr":
        found["fib saddr type"] = "unicast" if packet.forged else "local"
    if packet.protocol is Protocol.ICMP:
        found[{4: "icmp type", 6: "icmpv6 type"}[version]] = "echo-request"
    else:
        found[f"{packet.protocol} dport"] = packet.port
    return found


links = st.one_of(st.ip_addresses(network="fe80::/10"), st.ip_addresses(network="169.254.0.0/16"))
published = st.lists(st.builds(PublishedPort, st.sampled_from(PORTS)), max_size=2).map(tuple)


def fed(policy: Policy, around: Surroundings, known: Mapping[str, set[Address]]) -> Machine:
    machine = Machine(ruleset(policy, around).text)
    for name, told in known.items():
        for address in told:
            machine.feed(Names(policy).feed(name, address, 60))
    return machine


@settings(max_examples=400)
@given(policies, surroundings, known_names, st.lists(packets, min_size=1, max_size=20))
def test_a_packet_goes_where_the_policy_lets_it(
    policy: Policy,
    around: Surroundings,
    known: Mapping[str, set[Address]],
    sent: list[Packet],
) -> None:
    known = {name: {each for each in told if may_be_named(each)} for name, told in known.items()}
    machine = fed(policy, around, known)

    for packet in sent:
        verdict = machine.verdict("output", facts(packet, "daddr", "meta oif"))
        refusal = "drop" if packet.forged else "reject"
        assert verdict == ("accept" if may_go(policy, around, packet, known) else refusal), packet


@given(policies, published, known_names, st.lists(packets, min_size=1, max_size=20))
def test_a_packet_comes_in_where_the_policy_lets_it(
    policy: Policy,
    ports: tuple[PublishedPort, ...],
    known: Mapping[str, set[Address]],
    sent: list[Packet],
) -> None:
    published = Policy(name="any", base=policy.base, deny=policy.deny, ports=ports)
    machine = fed(published, Surroundings(), known)

    for packet in sent:
        if packet.address.is_loopback:
            continue
        verdict = machine.verdict("input", facts(packet, "saddr", "meta iif"))
        assert verdict == ("accept" if may_come(published, packet, known) else "drop"), packet


@given(policies, surroundings, st.lists(st.one_of(addresses, links), max_size=5).map(tuple))
def test_the_rules_of_a_policy_depend_on_no_other_addresses_of_the_host(
    policy: Policy, around: Surroundings, host: tuple[Address, ...]
) -> None:
    kept = replace(around, host=decisive(policy, host))

    assert ruleset(policy, kept).text == ruleset(policy, replace(around, host=host)).text
