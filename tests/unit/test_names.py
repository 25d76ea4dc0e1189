"""What becomes of names under a policy: which are known, and what their answers open."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barasync.config.policies import Destination, Policy, Preset
from barasync.networks.names import Lifetime, Names, Treatment

A, TXT, SVCB, HTTPS = 1, 16, 64, 65
HOST = (ip_address("192.0.2.10"), ip_address("2001:db8::10"))


def policy(base: Preset = Preset.ISOLATED, *, allow: tuple[str, ...] = ()) -> Policy:
    return Policy(
        name="names",
        base=base,
        allow=tuple(Destination(name, name=name) for name in allow),
    )


def opened(given: Policy, address: str, seconds: int = 60) -> str:
    return Names(given).feeding("www.example.org", [Lifetime(ip_address(address), seconds)], HOST)


@pytest.mark.parametrize(
    ("base", "others"),
    [
        (Preset.PUBLIC, Treatment.FORWARDED),
        (Preset.PRIVATE, Treatment.FORWARDED),
        (Preset.LOCAL, Treatment.UNKNOWN),
        (Preset.ISOLATED, Treatment.UNKNOWN),
    ],
)
def test_names_of_no_entry_are_known_where_the_base_has_a_network(
    base: Preset, others: Treatment
) -> None:
    one = Names(policy(base, allow=("www.example.org",)))

    for name in ("www.example.org", "WWW.Example.Org"):
        assert one.treatment(name, A) is Treatment.FED
        assert one.treatment(name, TXT) is Treatment.FED
        assert one.treatment(name, HTTPS) is one.treatment(name, SVCB) is Treatment.EMPTY
    for name in ("example.org", "x.www.example.org", "www.example.org.example.org", "."):
        assert one.treatment(name, A) is others
        assert one.treatment(name, HTTPS) is others


@pytest.mark.parametrize(
    "address", ["198.51.100.7", "10.1.2.3", "192.168.0.1", "fd12::1", "2001:db8::7"]
)
def test_a_name_that_is_allowed_opens_public_and_private_addresses(address: str) -> None:
    text = opened(policy(Preset.PUBLIC, allow=("www.example.org",)), address)

    assert f"{{ {address} timeout 65s }}" in text
    assert "allow1_names" in text


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.251",
        "ff02::fb",
        "255.255.255.255",
        "168.63.129.16",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "64:ff9b::a9fe:a9fe",
        *map(str, HOST),
        "::ffff:192.0.2.10",
        "64:ff9b::c000:20a",
        "2002:c000:20a::1",
    ],
)
def test_no_name_opens_what_only_a_trick_would_answer(address: str) -> None:
    assert opened(policy(Preset.PUBLIC, allow=("www.example.org",)), address) == ""


def test_a_name_of_no_entry_opens_nothing() -> None:
    assert opened(policy(Preset.PUBLIC, allow=("example.org",)), "198.51.100.7") == ""


@given(st.integers(0, 2**31 - 1))
def test_an_address_is_held_a_little_longer_than_its_record_and_no_longer_than_a_week(
    seconds: int,
) -> None:
    text = opened(policy(allow=("www.example.org",)), "198.51.100.7", seconds)

    assert f"timeout {min(seconds, 604800) + 5}s" in text


def test_the_entries_of_a_policy_are_gathered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(policy(allow=("www.example.org", "example.org")))
    gathered: list[object] = []
    monkeypatch.setattr("barasync.networks.names.groups", lambda *given: gathered.append(given))

    lifetimes = [Lifetime(ip_address(f"198.51.100.{number}"), 60) for number in range(64)]
    assert names.feeding("www.example.org", lifetimes, HOST).count("timeout") == 64
    assert names.treatment("example.org", A) is Treatment.FED

    assert gathered == []
