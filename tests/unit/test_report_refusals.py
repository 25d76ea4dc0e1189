"""What a network did not let out, in a sentence."""

from __future__ import annotations

import pytest

from barasync.networks.asked import RefusedName
from barasync.networks.refused import Refusal
from barasync.report.refusals import refused_line, refused_names_line


def test_a_refusal_is_told_with_what_would_let_it_through() -> None:
    assert refused_line([Refusal("198.51.100.7", "tcp", 443, 3)], 3) == (
        'refused 198.51.100.7 443/tcp (3 packets); `allow = ["198.51.100.7 443/tcp"]`,'
        " or the base 'public', lets the first through"
    )


def test_of_many_refusals_a_few_are_told() -> None:
    refused = [Refusal(f"10.0.0.{number}", "udp", 53, 9 - number) for number in range(8)]

    assert refused_line(refused, 44) == (
        "refused 10.0.0.0 53/udp (9 packets), 10.0.0.1 53/udp (8 packets), 10.0.0.2 53/udp"
        " (7 packets) and 5 more; `allow = [\"10.0.0.0 53/udp\"]`, or the base 'private', lets the"
        " first through"
    )


def test_packets_to_destinations_that_are_not_listed_are_told() -> None:
    line = refused_line([Refusal("10.0.0.1", "udp", 53, 9)], 5000)

    assert line.startswith(
        "refused 10.0.0.1 53/udp (9 packets), and 4991 packets to destinations that are not"
        " listed; `allow"
    )


@pytest.mark.parametrize(
    ("address", "preset"),
    [
        ("127.0.0.1", "local"),
        ("::1", "local"),
        ("192.168.1.1", "private"),
        ("fd00::1", "private"),
        ("2001:db8::1", "public"),
        ("2a00:1450:4001::1", "public"),
        ("169.254.169.254", None),
        ("100.64.0.1", None),
        ("224.0.0.251", None),
        ("ff02::1", None),
    ],
)
def test_the_preset_that_reaches_an_address_is_named(address: str, preset: str | None) -> None:
    line = refused_line([Refusal(address, "icmp", None, 1)], 1)

    assert f'`allow = ["{address} icmp"]`' in line
    assert ("the base" in line) == (preset is not None)
    assert preset is None or f"the base '{preset}'" in line


def test_refused_names_are_told_with_the_entry_that_lets_the_first_be_known() -> None:
    names = [RefusedName(name, 2) for name in ("db", "a_b.example.org", "a.example.org", "b.org")]

    assert refused_names_line(names) == (
        "refused the names db (2 questions), a_b.example.org (2 questions), a.example.org"
        ' (2 questions) and 1 more; `allow = ["a.example.org"]` lets it know and reach'
        " a.example.org"
    )
    assert refused_names_line(names[:1]) == "refused the names db (2 questions)"
