"""Presets and tables of networks, in words and as rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from barasync.cli.policy_words import as_rules, in_words, policies_of
from barasync.cli.project import find_project
from barasync.config.policies import PRESETS, Policy

TABLE = """
[network.shop]
base = "private"
allow = ["registry.example.org 443/tcp", "198.51.100.0/24"]
deny = ["10.0.0.0/8", "22/tcp"]
log = true
ports = ["8080:80", "127.0.0.1:5353:53/udp", "81"]
hosts = { mirror = "192.0.2.9" }
dns = ["198.51.100.53"]
subnets = ["172.20.0.0/24"]
internal = true
ipv6 = false
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "barasync.toml").write_text(TABLE)
    return tmp_path


def declared_policies(directory: Path) -> Mapping[str, Policy]:
    return policies_of(find_project(directory))


def test_without_a_file_there_are_the_presets(tmp_path: Path) -> None:
    assert declared_policies(tmp_path) == PRESETS


def test_a_table_says_all_that_it_changes(project: Path) -> None:
    policy = declared_policies(project)["shop"]

    assert in_words(policy).splitlines() == [
        "name          shop",
        "denies        10.0.0.0/8; 22/tcp",
        "allows        registry.example.org 443/tcp; 198.51.100.0/24",
        "base          private: RFC 1918, fc00::/7, loopback; this host too; no metadata address",
        "else          deny",
        "names         198.51.100.53",
        "from outside  new connections from RFC 1918 and fc00::/7, but what is denied",
        "ports         80/tcp at 8080, 53/udp at 127.0.0.1 5353, 81/tcp at a free port",
        "hosts         mirror 192.0.2.9",
        "network       of the run's own, 172.20.0.0/24, internal, without IPv6",
        "refused       told",
    ]


def test_what_is_accepted_by_default_has_its_exceptions(tmp_path: Path) -> None:
    (tmp_path / "barasync.toml").write_text('[network.shop]\ndefault = "accept"\n')

    words = in_words(declared_policies(tmp_path)["shop"]).splitlines()

    assert "else          accept, but no metadata address, and not this host" in words
    assert "names         any server that is reached" in words


def test_a_table_as_data_has_all_that_it_may_reach(project: Path) -> None:
    assert declared_policies(project)["shop"].as_data() == {
        "name": "shop",
        "base": "private",
        "deny": ["10.0.0.0/8", "22/tcp"],
        "allow": ["registry.example.org 443/tcp", "198.51.100.0/24"],
        "default": "deny",
        "log": True,
        "ports": [
            {"container": 80, "host": 8080, "protocol": "tcp", "address": None},
            {"container": 53, "host": 5353, "protocol": "udp", "address": "127.0.0.1"},
            {"container": 81, "host": None, "protocol": "tcp", "address": None},
        ],
        "hosts": {"mirror": "192.0.2.9"},
        "dns": ["198.51.100.53"],
        "subnets": ["172.20.0.0/24"],
        "internal": True,
        "ipv6": False,
        "join": None,
    }


def test_a_network_that_is_joined_is_named(tmp_path: Path) -> None:
    (tmp_path / "barasync.toml").write_text('[network.shop]\njoin = "office"\n')

    words = in_words(declared_policies(tmp_path)["shop"])

    assert "network       office, which is there already" in words.splitlines()


@pytest.mark.parametrize(
    ("preset", "lines"),
    [
        ("public", ["names         the network's resolver alone, port 53"]),
        ("private", ["from outside  new connections from RFC 1918 and fc00::/7"]),
        ("local", ["names         none are resolved", "network       no interface but loopback"]),
        ("isolated", ["base          isolated: nothing, loopback included"]),
    ],
)
def test_a_preset_says_what_it_allows(preset: str, lines: list[str]) -> None:
    assert set(lines) <= set(in_words(PRESETS[preset]).splitlines())


def test_the_rules_say_who_stands_for_a_resolver_that_is_not_known_yet(project: Path) -> None:
    policies = declared_policies(project)

    public, local, shop = (as_rules(policies[name]) for name in ("public", "local", "shop"))

    assert public.startswith("# 192.0.2.53 stands for the resolver")
    assert "192.0.2.53" in public.partition("\n")[2]
    assert not local.startswith("#")
    assert "192.0.2.53" not in local
    assert not shop.startswith("#")
    assert "198.51.100.53" in shop
    assert all("table inet barasync {" in rules for rules in (public, local, shop))
