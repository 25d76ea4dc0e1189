"""Which policy the OCI hook enforces, and which containers it refuses."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import msgspec
import pytest

from barasync.config.policies import PRESETS, Default, Policy, Preset
from barasync.networks.hook_container import (
    Configuration,
    HookError,
    check_container,
    parse_links,
    parse_served,
    policy_of,
    resolvers,
)
from tests.unit.hook_bundles import ID, bundle

PUBLIC, LOCAL = PRESETS["public"], PRESETS["local"]


def parsed(**changes: object) -> Configuration:
    return msgspec.json.decode(bundle(**changes), type=Configuration)  # type: ignore[arg-type]


# Which policy


def test_the_annotation_names_a_preset_or_a_table() -> None:
    web = Policy(name="web", base=Preset.LOCAL)

    assert policy_of(parsed(policy="public"), {}) is PUBLIC
    assert policy_of(parsed(policy="web"), {"web": web}) is web


@pytest.mark.parametrize("name", ["", "Public", "publik", "none", "host", "bridge"])
def test_a_name_of_no_policy_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(HookError, match=f"names the policy '{name}'") as refused:
        policy_of(parsed(policy=name), {})

    assert "public, private, local, isolated" in str(refused.value.hint)


# Which containers


def test_an_ordinary_container_is_taken() -> None:
    usual = ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]

    check_container(parsed(capabilities={"bounding": usual, "ambient": None}), PUBLIC)
    check_container(parsed(), LOCAL)
    check_container(parsed(namespace={"type": "network"}), LOCAL)


@pytest.mark.parametrize("kind", ["bounding", "effective", "permitted", "inheritable", "ambient"])
@pytest.mark.parametrize("name", ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"])
def test_a_capability_that_lifts_rules_is_refused(kind: str, name: str) -> None:
    with pytest.raises(HookError, match=f"it has {name}, which no policy bears") as refused:
        check_container(parsed(capabilities={kind: ["CAP_CHOWN", f"CAP_{name}"]}), LOCAL)

    assert f"--cap-drop={name}" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("namespace", "policy", "why"),
    [
        (None, LOCAL, "network of the host"),
        ({"type": "network", "path": "/proc/7/ns/net"}, LOCAL, "shares the network of another"),
        ({"type": "network", "path": "/run/netns/shop"}, LOCAL, "shares the network of another"),
        ({"type": "network", "path": "/run/netns/netns-1"}, LOCAL, "shares the network of another"),
        ({"type": "network"}, PUBLIC, "no network yet"),
    ],
)
def test_a_network_that_is_not_the_containers_own_is_refused(
    namespace: object, policy: Policy, why: str
) -> None:
    with pytest.raises(HookError, match=why):
        check_container(parsed(namespace=namespace), policy)


@pytest.mark.parametrize("pid", [None, {"type": "pid", "path": "/proc/7/ns/pid"}])
@pytest.mark.parametrize("held", [{}, {"bounding": ["CAP_SYS_PTRACE"]}])
def test_who_sees_processes_outside_of_the_container_is_refused(pid: object, held: object) -> None:
    check_container(parsed(capabilities=held), LOCAL)
    with pytest.raises(HookError, match="sees processes outside of it") as refused:
        check_container(parsed(capabilities=held, pid=pid), LOCAL)

    assert "--pid=private" in str(refused.value.hint)


def test_capabilities_that_nobody_names_are_refused() -> None:
    with pytest.raises(HookError, match="names no capabilities"):
        check_container(parsed(capabilities=None), LOCAL)


# Who resolves names

LINKS = (ip_network("10.89.0.0/24"), ip_network("fd00:1::/64"))
HOSTS_OWN = ip_address("10.255.255.53")


def test_what_answers_in_the_network_is_its_resolver_and_the_hosts_servers_are_not() -> None:
    gateway, gateway6 = ip_address("10.89.0.1"), ip_address("fd00:1::1")

    assert resolvers([gateway], [], LINKS, PUBLIC) == (gateway,)
    assert resolvers([], [gateway, HOSTS_OWN, gateway6], LINKS, PUBLIC) == (gateway, gateway6)


def test_a_network_without_a_resolver_is_refused_where_names_are_resolved() -> None:
    with pytest.raises(HookError, match="the container's network has no resolver") as refused:
        resolvers([], [HOSTS_OWN], LINKS, PUBLIC)

    assert "podman network create" in str(refused.value.hint)
    assert resolvers([], [HOSTS_OWN], LINKS, LOCAL) == ()


def test_a_policy_that_accepts_by_default_may_ask_the_networks_resolver_where_there_is_one() -> (
    None
):
    gateway = ip_address("10.89.0.1")
    policy = Policy(name="p", base=Preset.LOCAL, default=Default.ACCEPT)

    assert resolvers([], [gateway, HOSTS_OWN], LINKS, policy) == (gateway,)
    assert resolvers([], [HOSTS_OWN], LINKS, policy) == ()


def test_the_servers_of_a_policy_are_in_place_of_the_networks() -> None:
    policy = Policy(name="p", base=Preset.PUBLIC, dns=(HOSTS_OWN,))

    assert resolvers([ip_address("10.89.0.1")], [], LINKS, policy) == (HOSTS_OWN,)


ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0188620A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0088620A\t00000000\t0001\t0\t0\t0\tC0FFFFFF\t0\t0\t0
eth1\t00006E0A\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
ZERO = "0" * 32
ROUTE6 = f"""\
fd00000100000000{"0" * 16} 40 {ZERO} 00 {ZERO} 00000100 00000001 00000000 00000001     eth0
{ZERO} 00 {ZERO} 00 fd00000100000000{"0" * 15}1 00000064 00000001 00000000 00000003     eth0
{"0" * 31}1 80 {ZERO} 00 {ZERO} 00000000 00000002 00000000 80200001       lo
ff{"0" * 30} 08 {ZERO} 00 {ZERO} 00000100 00000003 00000000 00000001     eth0
{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200       lo
"""


def test_ranges_without_a_gateway_are_read_of_the_kernels_routes() -> None:
    assert parse_links(ROUTE, ROUTE6) == [
        ip_network("10.98.136.0/26"),
        ip_network("fd00:1::/64"),
    ]
    assert parse_links("", "") == []


def test_podmans_resolver_is_that_of_a_network_with_the_container_in_it() -> None:
    text = f"10.89.0.1,fd00:1::1 9.9.9.9\n{ID} 10.89.0.2 fd00:1::2 web,0123\n"

    assert parse_served(text, ID) == [ip_address("10.89.0.1"), ip_address("fd00:1::1")]
    assert parse_served(text, "f" * 64) == []
    assert parse_served("", ID) == []
