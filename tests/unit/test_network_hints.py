"""What to do where a network, or its rules, cannot be had."""

from __future__ import annotations

from barasync.engine.network_hints import network_hint, or_without


def test_podmans_words_for_a_missing_iptables_come_with_the_package_and_a_way_without() -> None:
    hint = network_hint("preparing container 1 for attach: netavark: No such file or directory")

    assert hint is not None
    assert "install the package iptables there" in hint
    assert '`network = "none"`' in hint


def test_nothing_is_guessed_about_other_words() -> None:
    assert network_hint("runc: No such file or directory") is None


def test_the_way_without_is_added_to_other_advice() -> None:
    assert or_without("install nftables") == 'install nftables; `network = "none"` does without'
    assert or_without(None) == '`network = "none"` does without'
