"""The network of a container as podman is asked for it, and what a policy takes from it."""

from __future__ import annotations

from dataclasses import replace

from barasync.aiopodman import ContainerSpec, PublishedPort
from barasync.config.capabilities import DROPPED
from barasync.config.policies import Policy
from barasync.engine.networks import CellNetwork


def with_policy(
    spec: ContainerSpec, policy: Policy, network: CellNetwork, *, aliases: tuple[str, ...]
) -> ContainerSpec:
    """Return `spec` on the network of a policy and bound by it; others find it by `aliases`."""
    return replace(
        bound(spec),
        network="none" if network.name is None else "bridge",
        networks={} if network.name is None else {network.name: aliases},
        dns_servers=tuple(map(str, policy.dns if network.names is None else network.resolvers[:1])),
        # With the host's search domains, the C library asks for names that are in no entry first.
        dns_search=() if network.names is None else (".",),
        extra_hosts={name: str(address) for name, address in policy.hosts.items()},
        publish=tuple(
            PublishedPort(
                container=port.container,
                host=port.host,
                protocol=port.protocol.value,
                address="" if port.address is None else str(port.address),
            )
            for port in policy.ports
        ),
    )


def bound(spec: ContainerSpec) -> ContainerSpec:
    """Return `spec` as a policy binds it, in whichever network namespace.

    It has no capability to change its rules, nor to make packets that they do not see as they are,
    and sees no processes of other networks, of which it could become one (ptrace(2)).
    """
    dropped = (*spec.cap_drop, *DROPPED)
    return replace(spec, cap_drop=dropped, own_processes=True, unprivileged=True)


def joined(spec: ContainerSpec, owner: str) -> ContainerSpec:
    """Return `spec` in the network namespace of the container `owner`, with its network."""
    return replace(spec, network=f"container:{owner}", image_hosts=True)


def unconnected(spec: ContainerSpec) -> ContainerSpec:
    """Return `spec` without any network."""
    return replace(
        spec,
        network="none",
        networks={},
        dns_servers=(),
        dns_search=(),
        extra_hosts={},
        publish=(),
        image_hosts=False,
    )
