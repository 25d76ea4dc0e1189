"""What the words of `barasync network create` ask for."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from barasync.cli.network_create import Wanted, wanted
from barasync.errors import ConfigError
from barasync.networks.interface import interface_name

NOTHING: dict[str, Any] = {
    "subnets": (),
    "gateways": (),
    "labels": (),
    "internal": False,
    "ipv6": False,
    "dns": True,
}


def asked(name: str = "shop", **words: Any) -> Wanted:
    return wanted(name, **{**NOTHING, **words})


def test_each_gateway_belongs_to_the_subnet_that_it_is_in() -> None:
    network = asked(
        subnets=["10.90.0.0/24", "fd00:90::/64"],
        gateways=["fd00:90::9", "10.90.0.254"],
        labels=["a=b=c", "d="],
    )

    assert network.subnets == (
        (ipaddress.ip_network("10.90.0.0/24"), ipaddress.ip_address("10.90.0.254")),
        (ipaddress.ip_network("fd00:90::/64"), ipaddress.ip_address("fd00:90::9")),
    )
    assert network.labels == {"a": "b=c", "d": ""}


def test_what_is_not_said_is_podmans_choice() -> None:
    assert (asked().subnets, asked(subnets=["10.90.0.0/24"]).subnets) == (
        (),
        ((ipaddress.ip_network("10.90.0.0/24"), None),),
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"name": "a b"}, "NAME: 'a b' cannot name a network"),
        ({"name": "-a"}, "NAME: '-a' cannot name a network"),
        ({"name": "Public"}, "NAME: 'Public' is what cells call a preset"),
        ({"name": "host"}, "NAME: 'host' is what cells call a preset, or a mode of podman's"),
        ({"subnets": ["10.90.0.0/33"]}, "--subnet: '10.90.0.0/33' is no network"),
        ({"subnets": ["10.90.0.1/24"]}, "--subnet: '10.90.0.1/24' is no network: 10.90.0.1 is an"),
        ({"subnets": ["office"]}, "--subnet: 'office' is neither an address nor a network"),
        ({"subnets": ["198.51.100.0/24"]}, "--subnet: 198.51.100.0/24 is no range of private"),
        ({"subnets": ["10.90.0.0/31"]}, "--subnet: 10.90.0.0/31 has no room for a gateway"),
        (
            {"subnets": ["10.90.0.0/24", "10.91.0.0/24"]},
            "--subnet: a network has one subnet of IPv4, not two",
        ),
        ({"gateways": ["10.90.0.1"]}, "--gateway: 10.90.0.1 is in no --subnet"),
        (
            {"subnets": ["10.90.0.0/24"], "gateways": ["10.91.0.1"]},
            "--gateway: 10.91.0.1 is in no subnet of 10.90.0.0/24",
        ),
        (
            {"subnets": ["10.90.0.0/24"], "gateways": ["10.90.0.0"]},
            "--gateway: 10.90.0.0 is no address of a host in 10.90.0.0/24",
        ),
        (
            {"subnets": ["10.90.0.0/24"], "gateways": ["10.90.0.255"]},
            "--gateway: 10.90.0.255 is no address of a host in 10.90.0.0/24",
        ),
        (
            {"subnets": ["10.90.0.0/24"], "gateways": ["10.90.0.1", "10.90.0.2"]},
            "--gateway: 10.90.0.0/24 has the gateway 10.90.0.1 already",
        ),
        (
            {"subnets": ["10.90.0.0/24"], "gateways": ["first"]},
            "--gateway: 'first' is no address",
        ),
        ({"labels": ["a"]}, "--label: 'a' is not NAME=VALUE"),
        ({"labels": ["=b"]}, "--label: '=b' is not NAME=VALUE"),
        ({"labels": ["barasync.run=r"]}, "--label: 'barasync.run' is a label by which barasync"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_option(words: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        asked(**words)

    assert str(caught.value).startswith(said)


def test_an_interface_has_a_name_that_linux_takes_and_no_other_network_has() -> None:
    names = [f"barasync-2026-11-27T04-00-00-{run}-{policy}" for run in range(50) for policy in "ab"]

    interfaces = {interface_name(name) for name in names}

    assert len(interfaces) == len(names)
    assert all(len(name) <= 15 and name.isascii() and name.isalnum() for name in interfaces)
    assert interface_name("shop") == interface_name("shop")
