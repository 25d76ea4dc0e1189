"""The networks of a run: one of podman's for each policy, made when its first cell needs it.

Address pools are finite, so that cells share one. What separates them are their rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from barasync.aiopodman import (
    APIError,
    DatabaseError,
    NetworkInspect,
    NoFreeSubnet,
    NotFound,
    Podman,
    PodmanError,
    Subnet,
    SubnetInUse,
    TransportError,
    answered,
)
from barasync.config.policies import Address, Destination, Policy, Range
from barasync.engine.network_hints import NONE_DOES_WITHOUT
from barasync.engine.not_begun import NotBegun
from barasync.engine.once import Once
from barasync.engine.podman_names import Askers
from barasync.engine.proxies import passed
from barasync.engine.resolvers import Resolvers
from barasync.engine.subnets import none_free, subnet_taken
from barasync.errors import EngineUnavailable
from barasync.networks.bridge import remove_bridge
from barasync.networks.closed_port import is_closed
from barasync.networks.host import addresses, has_ipv6
from barasync.networks.interface import interface_name
from barasync.networks.rules import Rulesets

if TYPE_CHECKING:
    from barasync.networks.resolver import Resolver

_CREATE_SECONDS = 120.0
_CREATE_SECONDS_WHEN_CANCELLED = 5.0
_REMOVE_SECONDS = 30.0
# Podman's networks of this driver have a bridge on the host, which has their gateways' addresses.
_BRIDGE = "bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellNetwork:
    """Where the cells of a policy are: on podman's network `name`, without an interface if `None`.

    `resolvers` are the servers that they ask for names, on port 53; `names` is behind them where
    the policy names hosts. `bridge` is the network's interface, where it is on this machine, and
    `links` are its subnets. `proxies` are the caller's variables for the cells, and `opened` what
    they may reach for these. `rules` makes those of its policy, once for all cells alike, and
    `unheard` says of a resolver on this machine that it takes no questions. Podman's own answers on
    the addresses `served` of this machine, and `askers` are those who ask it there.
    """

    name: str | None = None
    resolvers: tuple[Address, ...] = ()
    names: Resolver | None = None
    bridge: str | None = None
    links: tuple[Range, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    opened: tuple[Destination, ...] = ()
    rules: Rulesets = field(default_factory=Rulesets, compare=False)
    unheard: Once[Address, bool] = field(default_factory=lambda: Once(is_closed), compare=False)
    served: tuple[Address, ...] = ()
    askers: Askers = field(default_factory=Askers, compare=False)


class Networks:
    """Makes the networks of a run as they are asked for, and removes them.

    `resolvers` starts those of policies that name hosts. `proxies` are the caller's variables, and
    `host` is a process in the network of the service's host.
    """

    def __init__(
        self,
        podman: Podman,
        run: str,
        labels: Mapping[str, str],
        resolvers: Resolvers,
        *,
        proxies: Mapping[str, str] = MappingProxyType({}),
        host: int = 1,
    ) -> None:
        self._podman = podman
        self._run = run
        self._labels = labels
        self._resolvers = resolvers
        self._proxies = proxies
        self._host = host
        self._asked: set[str] = set()
        self._unanswered: set[str] = set()
        self._made: Once[str, CellNetwork] = Once(self._make)
        self._policies: dict[str, Policy] = {}
        self._alone: dict[str, CellNetwork] = {}
        self._present: dict[str, CellNetwork] = {}

    def present(self) -> tuple[CellNetwork, ...]:
        """Return the networks that have been made or joined so far, without those made anew."""
        return tuple(self._present.values())

    async def get(self, policy: Policy) -> CellNetwork:
        """Return the network of a policy, made now if no cell has needed it before.

        Raises:
            EngineUnavailable: podman cannot make it, or has none of the name that is to be joined,
                or its host names cannot be resolved.
            NotBegun: podman failed at it, and may do better when it is asked again.
        """
        if not policy.needs_network:
            return self._alone.setdefault(policy.name, CellNetwork())
        self._policies[policy.name] = policy
        network = self._present[policy.name] = await self._made.get(policy.name)
        return network

    def forget(self, policy: Policy, network: CellNetwork) -> None:
        """Have the network of a policy made anew for the next cell: podman has it no more."""
        self._made.forget(policy.name, network)

    async def remove(self) -> tuple[str, ...]:
        """Remove what was made, whoever cancels us; return sentences on what is left.

        Bounded by 30 s for all of them. Also a network whose making nobody has confirmed is gone,
        or else is one of those that are left.
        """
        left = {
            name: f"network {name} could not be removed: podman did not answer in time"
            for name in sorted(self._asked)
        }
        with anyio.move_on_after(_REMOVE_SECONDS, shield=True):
            for name in tuple(left):
                try:
                    await self._podman.networks.remove(name)
                except NotFound:
                    del left[name]
                    if name in self._unanswered:
                        left[name] = (
                            f"network {name} may be made yet: podman was asked for it and did not"
                            " answer"
                        )
                except PodmanError as error:
                    left[name] = f"network {name} could not be removed: {error}"
                else:
                    del left[name]
                    if self._resolvers.here:
                        await to_thread.run_sync(remove_bridge, interface_name(name))
        return tuple(
            f"{problem}; `podman network rm {name}`, or later `barasync clean`"
            for name, problem in left.items()
        )

    async def _make(self, name: str) -> CellNetwork:
        policy = self._policies[name]
        if policy.names:
            self._resolvers.require(policy)
        found = await self._found(policy)
        host = await to_thread.run_sync(addresses, self._host) if self._proxies else ()
        proxies = await passed(policy, self._proxies, host)
        bridge_here = found.driver == _BRIDGE and self._resolvers.here
        network = CellNetwork(
            name=found.name,
            resolvers=_resolvers(policy, found),
            # Of another driver it is an interface of the host's own, or none.
            bridge=found.interface if bridge_here else None,
            served=_gateways(found) if bridge_here and found.dns_enabled else (),
            links=tuple(ip_network(each.subnet, strict=False) for each in found.subnets),
            proxies=proxies.variables,
            opened=proxies.opened,
        )
        if not policy.names:
            return network
        _require_place_for_names(policy, found)
        gateways = _gateways(found)
        names = await self._resolvers.start(policy, gateways)
        return replace(network, resolvers=gateways, names=names)

    async def _found(self, policy: Policy) -> NetworkInspect:
        """Return the network of podman's for a policy, made or joined; raises as `get` does."""
        problem = f"network '{policy.name}' cannot be made"
        try:
            if policy.join is not None:
                return await self._join(policy, policy.join)
            return await self._create(policy)
        except TimeoutError:
            raise EngineUnavailable(
                f"{problem}: podman does not answer", hint=NONE_DOES_WITHOUT
            ) from None
        except SubnetInUse as error:
            raise subnet_taken(policy, await self._others()) from error
        except NoFreeSubnet as error:
            raise none_free(policy) from error
        except (DatabaseError, TransportError) as error:
            # It may pass, and is not what the cells that come later have to hear.
            raise NotBegun(f"{problem}: {error}") from error
        except PodmanError as error:
            raise EngineUnavailable(f"{problem}: {error}", hint=NONE_DOES_WITHOUT) from error

    async def _create(self, policy: Policy) -> NetworkInspect:
        """Make a network; once the request is made, cancellation waits for the answer, a while."""
        name = f"barasync-{self._run}-{policy.name}"
        if name in self._asked:
            # Podman may have made it without our hearing of it.
            with suppress(NotFound):
                return await self._podman.networks.inspect(name)
        ipv6 = policy.ipv6 and await to_thread.run_sync(has_ipv6)
        self._asked.add(name)
        return await answered(
            partial(self._ask, name, policy, ipv6=ipv6),
            within=_CREATE_SECONDS,
            cancelled=_CREATE_SECONDS_WHEN_CANCELLED,
        )

    async def _ask(self, name: str, policy: Policy, *, ipv6: bool) -> NetworkInspect:
        self._unanswered.add(name)
        try:
            found = await self._podman.networks.create(
                name,
                labels=self._labels,
                subnets=tuple(Subnet(subnet=str(each)) for each in policy.subnets),
                internal=policy.internal,
                ipv6=ipv6,
                dns=not (policy.dns or policy.names),
                interface=interface_name(name),
            )
        except APIError:
            self._unanswered.discard(name)
            raise
        self._unanswered.discard(name)
        return found

    async def _others(self) -> list[NetworkInspect]:
        """Return the networks that are there; none where podman does not say."""
        try:
            return await self._podman.networks.list()
        except PodmanError:
            # What is in the way is then told without its name.
            return []

    async def _join(self, policy: Policy, name: str) -> NetworkInspect:
        try:
            return await self._podman.networks.inspect(name)
        except NotFound:
            raise EngineUnavailable(
                f"{policy.where}.join: there is no network {name} to join",
                hint=f"`barasync network create {name}` makes it; without `join` a run makes one",
            ) from None


def _resolvers(policy: Policy, network: NetworkInspect) -> tuple[Address, ...]:
    """Return whom the cells ask for names: podman's resolver listens on the gateways.

    Of a network to join it answers whatever `dns` says: before podman 5 `resolv.conf` has the
    servers of that, and later the gateways, which ask them (`dns-servers-go-to-the-resolver`).
    """
    return (*policy.dns, *(_gateways(network) if network.dns_enabled else ()))


def _require_place_for_names(policy: Policy, network: NetworkInspect) -> None:
    """Refuse a network to join on which no resolver of ours could answer at the gateways."""
    if network.driver != _BRIDGE:
        raise EngineUnavailable(
            f"network '{policy.name}' names hosts, and {network.name} is a network of the driver"
            f" {network.driver!r}: its gateway is not this host, where their resolver would be",
            hint="join a network of the driver 'bridge', or leave `join` out",
        )
    if network.dns_enabled:
        raise EngineUnavailable(
            f"network '{policy.name}' names hosts, and on {network.name} podman's own resolver has"
            " the place of the one that would open their addresses",
            hint="join a network without DNS, or leave `join` out",
        )


def _gateways(network: NetworkInspect) -> tuple[Address, ...]:
    return tuple(ip_address(subnet.gateway) for subnet in network.subnets if subnet.gateway)
