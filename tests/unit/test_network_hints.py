"""What to do where a network, or its rules, cannot be had."""

from __future__ import annotations

import pytest

from barasync.engine.network_hints import network_hint, or_without


@pytest.mark.parametrize(
    ("said", "advised"),
    [
        ("netavark: No such file or directory (os error 2)", "install the package iptables"),
        (
            "netavark: nftables error: unable to execute nft: No such file or directory",
            "install the package nftables",
        ),
        ("netavark: nftables error: unable to execute nft: Permission denied", "nftables"),
        ('could not find "netavark" in one of [/usr/lib/podman]', "install the package netavark"),
        (
            "could not find slirp4netns, the network namespace can't be configured: exec",
            "install the package slirp4netns",
        ),
        (
            "could not find pasta, the network namespace can't be configured: exec",
            "install the package passt",
        ),
        (
            '/usr/bin/slirp4netns failed: "open("/dev/net/tun"): Permission denied',
            "`modprobe tun` on its machine, or `--device /dev/net/tun`",
        ),
        (
            "pasta failed with exit code 1: Failed to open() /dev/net/tun: No such file",
            "`modprobe tun` on its machine, or `--device /dev/net/tun`",
        ),
    ],
)
def test_podmans_words_for_what_a_network_lacks_come_with_a_remedy_and_a_way_without(
    said: str, advised: str
) -> None:
    hint = network_hint(f"podman: preparing container 1 for attach: {said}")

    assert hint is not None
    assert advised in hint
    assert hint.endswith('; `network = "none"` does without')


def test_nothing_is_guessed_about_other_words() -> None:
    assert network_hint("runc: No such file or directory") is None


def test_the_way_without_is_added_to_other_advice() -> None:
    assert or_without("install nftables") == 'install nftables; `network = "none"` does without'
    assert or_without(None) == '`network = "none"` does without'
