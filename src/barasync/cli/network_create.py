"""What `barasync network create` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import typer

from barasync.aiopodman import Conflict, NetworkInspect, NoFreeSubnet, Podman, Subnet, SubnetInUse
from barasync.cli.connect import connect
from barasync.cli.network_actions import subnets_of
from barasync.cli.options import parse_pairs
from barasync.config.bounds import BadValue
from barasync.config.destinations import parse_address
from barasync.config.network_values import parse_network_name, parse_subnets
from barasync.config.policies import ALONE, MODES, PRESETS, Address, Preset, Range
from barasync.engine.identity import MADE, OWNER, PRESET
from barasync.engine.subnets import overlapping
from barasync.errors import EXIT_OK, ConfigError, EngineUnavailable
from barasync.networks.interface import interface_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A network to be made."""

    name: str
    subnets: tuple[tuple[Range, Address | None], ...]
    labels: Mapping[str, str]
    internal: bool
    ipv6: bool
    dns: bool
    preset: Preset | None = None


def wanted(
    name: str,
    *,
    subnets: Sequence[str],
    gateways: Sequence[str],
    labels: Iterable[str],
    internal: bool,
    ipv6: bool,
    dns: bool,
    preset: Preset | None = None,
) -> Wanted:
    """Return what the words of the command line ask for.

    Raises:
        ConfigError: they cannot be meant; the message names the option.
    """
    known = (*PRESETS, *MODES)
    if name.lower() in known:
        raise ConfigError(
            f"NAME: '{name}' is what cells call a preset, or a mode of podman's",
            hint="take another name; --preset says what cells on it reach",
        )
    if internal and preset is Preset.PUBLIC:
        raise ConfigError(
            "--internal: such a network has no way to what the preset 'public' allows",
            hint="leave one of them out",
        )
    option = "NAME"
    try:
        parse_network_name(name)
        option = "--subnet"
        ranges = parse_subnets(list(subnets))
    except BadValue as error:
        raise ConfigError(f"{option}: {error}", hint=error.hint) from None
    return Wanted(
        name=name,
        subnets=_with_gateways(ranges, gateways),
        labels=_labels(labels),
        preset=preset,
        internal=internal,
        ipv6=ipv6,
        dns=dns,
    )


def _with_gateways(
    ranges: Sequence[Range], gateways: Iterable[str]
) -> tuple[tuple[Range, Address | None], ...]:
    found: dict[Range, Address] = {}
    for text in gateways:
        try:
            gateway = parse_address(text)
        except BadValue as error:
            raise ConfigError(f"--gateway: {error}", hint=error.hint) from None
        subnet = next((each for each in ranges if gateway in each), None)
        if subnet is None:
            subnets = f"no subnet of {', '.join(map(str, ranges))}" if ranges else "no --subnet"
            raise ConfigError(
                f"--gateway: {gateway} is in {subnets}",
                hint="name an address of the subnet, or leave the choice to podman",
            )
        if gateway == subnet.network_address or _is_broadcast(gateway, subnet):
            raise ConfigError(f"--gateway: {gateway} is no address of a host in {subnet}")
        if subnet in found:
            raise ConfigError(f"--gateway: {subnet} has the gateway {found[subnet]} already")
        found[subnet] = gateway
    return tuple((each, found.get(each)) for each in ranges)


def _is_broadcast(address: Address, subnet: Range) -> bool:
    return address.version == 4 and address == subnet.broadcast_address  # noqa: PLR2004 IPv4


def _labels(texts: Iterable[str]) -> Mapping[str, str]:
    labels = parse_pairs("--label", texts)
    for name in labels:
        if name.startswith(OWNER):
            raise ConfigError(f"--label: {name!r} is a label by which barasync knows what it made")
    return labels


async def create_network(network: Wanted, *, url: str | None, environ: Mapping[str, str]) -> int:
    """Make a network, and say what it is; cancelled in flight, podman may have made it.

    Raises:
        ConfigError: its name or its addresses are in use.
        EngineUnavailable: podman has no addresses left.
    """
    async with connect(url, environ, notify=partial(typer.echo, err=True)) as connection:
        podman = connection.podman
        _refuse_taken(network, await podman.networks.list())
        try:
            made = await _create(podman, network)
        except SubnetInUse as error:
            raise ConfigError(
                f"--subnet: {error.cause}",
                hint="`ip route` shows the host's own, which podman looks at as well",
            ) from error
        except Conflict as error:
            raise ConfigError(f"{network.name} was not made: {error.cause}") from error
        except NoFreeSubnet as error:
            raise EngineUnavailable(
                "podman has no addresses left for another network",
                hint="name some with --subnet, or remove networks: `barasync network list`",
            ) from error
    typer.echo(f"{made.name}: made, {subnets_of(made)}")
    if network.preset in ALONE:
        typer.echo(
            f"note: cells with --network {made.name} have no interface for the preset"
            f" '{network.preset}', and are not on the network; those of a table that joins it are",
            err=True,
        )
    return EXIT_OK


async def _create(podman: Podman, network: Wanted) -> NetworkInspect:
    preset = {} if network.preset is None else {PRESET: network.preset.value}
    return await podman.networks.create(
        network.name,
        labels={MADE: "network create", **preset, **network.labels},
        subnets=[
            Subnet(subnet=str(subnet), gateway="" if gateway is None else str(gateway))
            for subnet, gateway in network.subnets
        ],
        internal=network.internal,
        ipv6=network.ipv6,
        dns=network.dns,
        interface=interface_name(network.name),
    )


def _refuse_taken(network: Wanted, others: Iterable[NetworkInspect]) -> None:
    for other in others:
        if other.name == network.name:
            raise ConfigError(
                f"there is a network {network.name} already",
                hint=f"`barasync network show {network.name}` says what it is",
            )
        for ours, _ in network.subnets:
            found = overlapping(ours, [other])
            if found is not None:
                raise ConfigError(
                    f"--subnet: {ours} overlaps {found[1]} of the network {other.name}",
                    hint="take another range, or leave the choice to podman",
                )
