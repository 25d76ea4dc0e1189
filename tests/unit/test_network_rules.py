"""The rules of policies, written out."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest

from barasync.networks.names import Names
from barasync.networks.rules import Rulesets, missing, ruleset
from tests.network_policies import GOLDEN, POLICIES


@pytest.mark.parametrize("name", POLICIES)
def test_the_rules_of_a_policy_are_those_of_its_file(name: str) -> None:
    assert ruleset(*POLICIES[name]).text == (GOLDEN / f"{name}.nft").read_text()


def test_of_rules_that_nobody_has_listed_yet_an_empty_listing_has_none() -> None:
    assert missing(ruleset(*POLICIES["private"]), b"") is not None


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


LINK = ipaddress.ip_address("fe80::c0ff:eeff:fe00:1")


@pytest.mark.parametrize("name", ["public", "private", "isolated"])
def test_cells_share_their_rules_whatever_links_the_host_has_to_others(name: str) -> None:
    policy, around = POLICIES[name]
    rulesets = Rulesets()

    first = rulesets.get(policy, around)
    assert rulesets.get(policy, replace(around, host=(*around.host, LINK))) is first
    assert rulesets.get(policy, replace(around, loopback=True)) is not first
    assert first.text == ruleset(policy, around).text


def test_a_host_that_is_kept_from_entries_of_ports_is_so_by_all_its_links() -> None:
    policy, around = POLICIES["rich"]
    rulesets = Rulesets()

    wide = rulesets.get(policy, replace(around, host=(*around.host, LINK)))

    assert rulesets.get(policy, around) is not wide
    assert str(LINK) in wide.text


def test_of_ever_new_rules_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barasync.networks.rules._KEPT", 2)
    policy, around = POLICIES["public"]
    places = [replace(around, host=(ipaddress.ip_address(number),)) for number in (1, 2, 3)]
    rulesets = Rulesets()
    first, second, third = (rulesets.get(policy, place) for place in places)

    assert rulesets.get(policy, places[2]) is third
    assert rulesets.get(policy, places[1]) is second
    assert rulesets.get(policy, places[0]) is not first


def test_a_listing_that_was_found_whole_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = ruleset(*POLICIES["rich"])
    listing = (GOLDEN / "rich-nft-1.0.6.json").read_bytes()
    lacking = listing.replace(b"10.66.0.0", b"10.67.0.0")
    assert missing(rules, lacking) == missing(rules, lacking) == "set deny1_ip has other elements"
    assert missing(rules, listing) is None

    monkeypatch.setattr("barasync.networks.rules.difference", lambda *_: "it was read")

    assert missing(rules, listing) is None
    assert missing(rules, lacking) == "it was read"
