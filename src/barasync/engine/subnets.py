"""Subnets that a network cannot have, in the words of whoever asked for them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from barasync.aiopodman import NetworkInspect
from barasync.config.policies import Policy, Range
from barasync.config.ranges import overlap
from barasync.engine.identity import RUN
from barasync.errors import EngineUnavailable


def overlapping(
    subnet: Range, others: Iterable[NetworkInspect]
) -> tuple[NetworkInspect, Range] | None:
    """Return the first network that has some of a subnet's addresses, and its subnet."""
    for other in others:
        for taken in other.subnets:
            theirs = ipaddress.ip_network(taken.subnet, strict=False)
            if overlap(subnet, theirs):
                return other, theirs
    return None


def subnet_taken(policy: Policy, others: Iterable[NetworkInspect]) -> EngineUnavailable:
    """Return the error that a subnet of `policy` is in use, with whose it is among `others`."""
    networks = tuple(others)
    for index, subnet in enumerate(policy.subnets):
        found = overlapping(subnet, networks)
        if found is not None:
            other, theirs = found
            run = other.labels.get(RUN)
            owner = "" if run is None else f" of the run {run}"
            theirs_is = "" if theirs == subnet else f" as part of {theirs}"
            return EngineUnavailable(
                f"{policy.where}.subnets[{index}]: {subnet} is taken{theirs_is} by the network"
                f" {other.name}{owner}",
                hint="leave `subnets` out, and podman chooses free ones for each run"
                + ("" if run is None else "; `barasync clean` removes what dead runs have left"),
            )
    taken = " or ".join(map(str, policy.subnets))
    return EngineUnavailable(
        f"{policy.where}.subnets: {taken} is taken by an interface or a route",
        hint="`ip address` and `ip route` of the service's host show which; leave `subnets` out,"
        " and podman chooses free ones",
    )


def none_free(policy: Policy) -> EngineUnavailable:
    """Return the error that podman has no addresses left of which to choose some."""
    return EngineUnavailable(
        f"network '{policy.name}' cannot be made: podman has no addresses left for another network",
        hint="remove networks (`barasync network list`, `barasync clean`), or name free addresses"
        " by `subnets` in a table [network.NAME]",
    )
