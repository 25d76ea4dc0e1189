"""The networks of the fake: what is said of them, and addresses that lead nowhere."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.fake.wire import Refusal

Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network

_POOL = ipaddress.ip_network("10.89.0.0/16")
_UNIQUE_LOCAL = ipaddress.ip_network("fd00:89::/32")
_OF_THE_HOST = ipaddress.ip_network("127.0.0.0/8")
_DEFAULT = "podman"
_FIRST_PORT = 40_000


@dataclass(slots=True)
class Networks:
    """Networks by name; podman's default one is always there."""

    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _ports: count[int] = field(default_factory=lambda: count(_FIRST_PORT))

    def __post_init__(self) -> None:
        self._add({"name": _DEFAULT, "subnets": [{"subnet": "10.88.0.0/16"}]})

    def find(self, name: str, *, status: int = 404) -> dict[str, Any]:
        """Return a network by name or ID.

        Raises:
            Refusal: there is none.
        """
        for document in self.documents.values():
            if name in {document["name"], document["id"]}:
                return document
        cause = "network not found"
        raise Refusal(status, cause, f"unable to find network with name or ID {name}: {cause}")

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a network of a create body.

        Raises:
            Refusal: its name, its interface or its subnets are in use.
        """
        name = body["name"]
        if name in self.documents:
            cause = "network already exists"
            raise Refusal(409, cause, f"network name {name} already used: {cause}")
        interface = body.get("network_interface")
        if any(interface == other["network_interface"] for other in self.documents.values()):
            raise Refusal(500, f"bridge name {interface} already in use")
        return self._add(body)

    def remove(self, name: str, *, users: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Remove a network, unless one of the create bodies of containers names it.

        Raises:
            Refusal: one does, or there is no such network.
        """
        document = self.find(name)
        if any(document["name"] in networks_of(body) for body in users):
            cause = "network is being used"
            raise Refusal(500, cause, f'"{name}" has associated containers with it: {cause}')
        del self.documents[document["name"]]
        return document

    def prune(self, users: Iterable[Mapping[str, Any]]) -> None:
        """Remove all networks but the default one, and those that create bodies name."""
        used = {_DEFAULT}.union(*map(networks_of, users))
        for name in set(self.documents) - used:
            del self.documents[name]

    def places(self, body: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return what a container of a create body will be on each of its networks, by name.

        Raises:
            Refusal: one of them does not exist.
        """
        return {
            name: {**self._place(self.find(name, status=500)), "Aliases": aliases}
            for name, aliases in networks_of(body).items()
        }

    def ports(self, body: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
        """Return where a container's ports are published."""
        return {
            f"{each['container_port']}/{each.get('protocol') or 'tcp'}": [
                {
                    "HostIp": each.get("host_ip", ""),
                    "HostPort": str(each.get("host_port") or next(self._ports)),
                }
            ]
            for each in body.get("portmappings", ())
        }

    def _add(self, body: Mapping[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        given = list(body.get("subnets", ()))
        subnets = [ipaddress.ip_network(each["subnet"], strict=False) for each in given]
        self._refuse_overlaps(subnets)
        if not subnets:
            subnets.append(ipaddress.ip_network((_POOL.network_address + 256 * number, 24)))
        if body.get("ipv6_enabled") and all(subnet.version == 4 for subnet in subnets):
            subnets.append(
                ipaddress.ip_network((_UNIQUE_LOCAL.network_address + (number << 64), 64))
            )
        gateways = [each.get("gateway") for each in given] + [None] * len(subnets)
        name = body["name"]
        self.documents[name] = {
            "name": name,
            "id": hashlib.sha256(name.encode()).hexdigest(),
            "driver": body.get("driver", "bridge"),
            "network_interface": body.get("network_interface") or f"podman{number - 1}",
            "subnets": [
                {"subnet": str(subnet), "gateway": gateway or str(subnet[1])}
                for subnet, gateway in zip(subnets, gateways, strict=False)
            ],
            "ipv6_enabled": any(subnet.version == 6 for subnet in subnets),
            "internal": body.get("internal", False),
            "dns_enabled": body.get("dns_enabled", False),
            "labels": body.get("labels") or None,
        }
        return self.documents[name]

    def _refuse_overlaps(self, subnets: Iterable[Subnet]) -> None:
        taken = [_OF_THE_HOST] + [
            ipaddress.ip_network(each["subnet"])
            for document in self.documents.values()
            for each in document["subnets"]
        ]
        for subnet in subnets:
            if any(subnet.version == other.version and subnet.overlaps(other) for other in taken):
                raise Refusal(
                    500, f"subnet {subnet} is already used on the host or by another config"
                )

    def _place(self, document: Mapping[str, Any]) -> dict[str, Any]:
        place: dict[str, Any] = {"NetworkID": document["id"]}
        number = next(self._numbers) % 100 + 100
        for each in document["subnets"]:
            subnet = ipaddress.ip_network(each["subnet"])
            address = str(subnet[number % subnet.num_addresses])
            if subnet.version == 4:
                place |= {"Gateway": each["gateway"], "IPAddress": address}
            else:
                place |= {"IPv6Gateway": each["gateway"], "GlobalIPv6Address": address}
        return place


def networks_of(body: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the networks that a create body names, and the container's aliases on each."""
    if body.get("netns", {}).get("nsmode") != "bridge":
        return {}
    named = body.get("networks") or {_DEFAULT: {}}
    return {name: options.get("aliases", []) for name, options in named.items()}
