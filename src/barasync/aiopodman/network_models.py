"""What podman says of networks, and of containers on them; everything else in it is ignored.

Addresses are text, empty where there is none: podman tells them from `init` until the end.
"""

from __future__ import annotations

import ipaddress

import msgspec
from msgspec import field

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Subnet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Addresses of a network, as `10.89.1.0/24`; without a `gateway` podman takes the first."""

    subnet: str
    gateway: str = ""


class NetworkInspect(msgspec.Struct, frozen=True, kw_only=True):
    """A network, in full in a list as well.

    `interface` is the bridge on the service's host, which is there while a container runs on the
    network. With `dns_enabled` its containers find each other by name.
    """

    name: str
    id: str = ""
    driver: str = ""
    interface: str = field(default="", name="network_interface")
    subnets: list[Subnet] = []
    ipv6_enabled: bool = False
    internal: bool = False
    dns_enabled: bool = False
    labels: dict[str, str] = {}


class NetworkAttachment(msgspec.Struct, frozen=True, kw_only=True):
    """A container's place on one network."""

    ipv4: str = field(default="", name="IPAddress")
    ipv6: str = field(default="", name="GlobalIPv6Address")

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses of the container; IPv4 first."""
        return tuple(ipaddress.ip_address(text) for text in (self.ipv4, self.ipv6) if text)


class HostPort(msgspec.Struct, frozen=True, kw_only=True):
    """Where on the service's host a port is published; an empty address stands for all of them."""

    address: str = field(default="", name="HostIp")
    port: str = field(default="", name="HostPort")


class NetworkSettings(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A container's networks, and where its ports are published.

    `ports` are by the container's, such as `80/tcp`. `networks` are by name, `podman` is the
    default one. Who joins the namespace of another container has that one's.
    """

    ports: dict[str, list[HostPort]] = {}
    networks: dict[str, NetworkAttachment] = {}
