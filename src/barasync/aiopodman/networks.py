"""Networks: list, make and remove them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from barasync.aiopodman.errors import NotFound
from barasync.aiopodman.libpod import InvalidName, Libpod, encode_filters, label_filters, segment
from barasync.aiopodman.network_models import NetworkInspect, Subnet
from barasync.aiopodman.wire.documents import decode_document

_MAX_INTERFACE = 15
"""Characters of the name of an interface. Source: `IFNAMSIZ` of linux/if.h, with its NUL."""


class Networks:
    """The networks of one podman service."""

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod

    async def list(self, *, labels: Mapping[str, str | None] | None = None) -> list[NetworkInspect]:
        """Return the networks that carry every one of `labels`, all of them by default.

        A label whose value is `None` matches whatever its value is.

        Source: `GET /libpod/networks/json`.
        """
        query = {"filters": encode_filters({"label": label_filters(labels)})}
        return await self._libpod.get("networks/json", list[NetworkInspect], query)

    async def inspect(self, name: str) -> NetworkInspect:
        """Return a network, by name or ID.

        Raises:
            NotFound: it does not exist.

        Source: `GET /libpod/networks/{name}/json`.
        """
        return await self._libpod.get(f"networks/{segment(name)}/json", NetworkInspect)

    async def exists(self, name: str) -> bool:
        """Tell whether there is a network of that name or ID.

        Source: `GET /libpod/networks/{name}/exists`.
        """
        try:
            await self._libpod.ask(f"networks/{segment(name)}/exists")
        except (NotFound, InvalidName):
            return False
        return True

    async def create(
        self,
        name: str,
        *,
        labels: Mapping[str, str] = MappingProxyType({}),
        subnets: Sequence[Subnet] = (),
        internal: bool = False,
        ipv6: bool = False,
        dns: bool = False,
        interface: str | None = None,
    ) -> NetworkInspect:
        """Make a bridge network; an `internal` one leads nowhere but to its containers.

        Without `subnets` podman takes one that is free, with `ipv6` a unique local one beside it.
        Subnets of version 6 make `ipv6` of it. With `dns` a resolver at the gateways knows the
        names of its containers. `interface` is the name of the bridge, of 15
        characters at most; podman counts from `podman1` otherwise, and does not know of those of
        another service on the host.

        When cancelled in flight, podman may have made it all the same: shield the call, or find it
        by its labels.

        Raises:
            Conflict: the name or the interface is in use.
            NoFreeSubnet: all of podman's own choice are in use.
            SubnetInUse: the host, or another network of podman's, has some of the addresses.
            ValueError: the interface's name is too long: podman would fail when it is used.

        Source: `POST /libpod/networks/create`.
        """
        if interface is not None and len(interface) > _MAX_INTERFACE:
            raise ValueError(
                f"the interface's name {interface} has over {_MAX_INTERFACE} characters"
            )
        body: dict[str, object] = {
            "name": name,
            "labels": dict(labels),
            "internal": internal,
            "ipv6_enabled": ipv6,
            "dns_enabled": dns,
            "subnets": list(subnets),
        }
        if interface is not None:
            body["network_interface"] = interface
        answer = await self._libpod.post("networks/create", body=body)
        return decode_document(answer.body, NetworkInspect)

    async def remove(self, name: str, *, missing_ok: bool = False) -> None:
        """Remove a network, by name or ID.

        Podman would remove its containers as well, but gives each of them ten seconds to end.

        Raises:
            Conflict: a container uses it.
            NotFound: it does not exist, and `missing_ok` is false.

        Source: `DELETE /libpod/networks/{name}`.
        """
        try:
            await self._libpod.delete(f"networks/{segment(name)}")
        except NotFound:
            if not missing_ok:
                raise
