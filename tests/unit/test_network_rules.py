"""The rules of policies, written out."""

from __future__ import annotations

import ipaddress

import pytest

from barasync.networks.names import Names
from barasync.networks.rules import ruleset
from tests.network_policies import GOLDEN, POLICIES


@pytest.mark.parametrize("name", POLICIES)
def test_the_rules_of_a_policy_are_those_of_its_file(name: str) -> None:
    assert ruleset(*POLICIES[name]).text == (GOLDEN / f"{name}.nft").read_text()


def test_every_file_of_rules_has_its_policy() -> None:
    assert {path.stem for path in GOLDEN.glob("*.nft")} == POLICIES.keys()


def test_a_name_feeds_the_sets_of_its_entries_however_it_is_spelled() -> None:
    policy, _ = POLICIES["rich"]
    address = ipaddress.ip_address("192.0.2.9")

    assert Names(policy).feed("registry.EXAMPLE.org", address, 35) == (
        "add element inet barasync allow1_names_ip { 192.0.2.9 }\n"
        "delete element inet barasync allow1_names_ip { 192.0.2.9 }\n"
        "add element inet barasync allow1_names_ip { 192.0.2.9 timeout 35s }\n"
    )
    assert Names(policy).feed("other.example", address, 35) == ""


def test_a_mapped_address_of_a_name_is_one_of_ipv4() -> None:
    policy, _ = POLICIES["rich"]

    fed = Names(policy).feed("registry.example.org.", ipaddress.ip_address("::ffff:192.0.2.9"), 35)

    assert "allow1_names_ip { 192.0.2.9 }" in fed
    assert "ip6" not in fed


def test_a_name_that_is_allowed_opens_no_metadata() -> None:
    policy, _ = POLICIES["rich"]

    assert (
        Names(policy).feed("registry.example.org", ipaddress.ip_address("169.254.169.254"), 35)
        == ""
    )
