"""What `barasync network list`, `show`, `remove` and `exists` do with podman's networks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import typer

from barasync.aiopodman import Conflict, InvalidName, NetworkInspect, NotFound, Podman
from barasync.cli.connect import connect
from barasync.config.policies import Preset
from barasync.config.spelling import did_you_mean
from barasync.engine.identity import MADE, PRESET, RUN
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK, ConfigError

_COLUMNS = ("NAME", "SUBNETS", "INTERFACE", "MADE BY")


async def list_networks(
    *, as_json: bool, names: bool, url: str | None, environ: Mapping[str, str]
) -> int:
    """Print the networks of the service, a line for each, by name; or only their `names`."""
    async with connect(url, environ, notify=partial(typer.echo, err=True)) as connection:
        networks = await connection.podman.networks.list()
    networks.sort(key=lambda network: network.name)
    if as_json:
        typer.echo(json.dumps([_as_data(network) for network in networks], indent=2))
        return EXIT_OK
    if names:
        for network in networks:
            typer.echo(network.name)
        return EXIT_OK
    rows = [
        _COLUMNS,
        *((each.name, subnets_of(each), each.interface, _maker(each)) for each in networks),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        columns = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        typer.echo("  ".join(columns).rstrip())
    return EXIT_OK


async def show_network(
    name: str,
    others: Iterable[str],
    *,
    as_json: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Print what a network of the service is, and its containers.

    `others` are names that would have meant something else.

    Raises:
        ConfigError: there is no such network.
    """
    async with connect(url, environ, notify=partial(typer.echo, err=True)) as connection:
        podman = connection.podman
        try:
            network = await podman.networks.inspect(name)
        except (NotFound, InvalidName):
            raise await _unknown(podman, name, others) from None
        containers = await _containers(podman, network.name)
    if as_json:
        typer.echo(json.dumps({**_as_data(network), "containers": containers}, indent=2))
        return EXIT_OK
    facts = {
        "name": network.name,
        "ID": network.id,
        "made by": _maker(network),
        "preset": _preset(network) or "",
        "interface": network.interface,
        "subnets": ", ".join(
            f"{subnet.subnet} (gateway {subnet.gateway})" for subnet in network.subnets
        ),
        "way out": "no, it is internal" if network.internal else "yes",
        "names": "of its containers" if network.dns_enabled else "none",
        "labels": ", ".join(f"{key}={value}" for key, value in sorted(network.labels.items())),
        "containers": ", ".join(containers),
    }
    typer.echo(in_columns(facts))
    return EXIT_OK


async def remove_networks(
    names: Sequence[str], *, url: str | None, environ: Mapping[str, str]
) -> int:
    """Remove networks that were made with `create`; say of each what became of it.

    Nothing is removed unless every name is that of one. One with containers stays, they are named,
    and the exit code is 1.

    Raises:
        ConfigError: a name is that of no network, or of one that was not made so.
    """
    async with connect(url, environ, notify=partial(typer.echo, err=True)) as connection:
        podman = connection.podman
        doomed = [await _made_by_hand(podman, name) for name in dict.fromkeys(names)]
        code = EXIT_OK
        for name in doomed:
            try:
                await podman.networks.remove(name, missing_ok=True)
            except Conflict:
                users = ", ".join(await _containers(podman, name))
                typer.echo(f"{name}: kept, in use by {users or 'a container'}")
                code = EXIT_NOT_PASSED
            else:
                typer.echo(f"{name}: removed")
    return code


async def network_exists(name: str, *, url: str | None, environ: Mapping[str, str]) -> int:
    """Return 0 if the service has a network of that name or ID, else 1."""
    async with connect(url, environ, notify=partial(typer.echo, err=True)) as connection:
        found = await connection.podman.networks.exists(name)
    return EXIT_OK if found else EXIT_NOT_PASSED


def in_columns(facts: Mapping[str, str]) -> str:
    """Return a line for each fact that is not empty, its title before it."""
    known = {title: text for title, text in facts.items() if text}
    width = max(map(len, known))
    return "\n".join(f"{title.ljust(width)}  {text}" for title, text in known.items())


def subnets_of(network: NetworkInspect) -> str:
    """Return the subnets of a network in a few characters."""
    return ", ".join(subnet.subnet for subnet in network.subnets)


async def _made_by_hand(podman: Podman, name: str) -> str:
    try:
        network = await podman.networks.inspect(name)
    except (NotFound, InvalidName):
        raise await _unknown(podman, name) from None
    if MADE in network.labels:
        return network.name
    run = network.labels.get(RUN)
    if run is not None:
        raise ConfigError(
            f"{name} is a network of the run {run}, which removes it",
            hint="`barasync clean` removes what dead runs have left",
        )
    raise ConfigError(
        f"{name} is a network that barasync did not make",
        hint=f"`podman network rm {name}` removes it",
    )


async def _unknown(podman: Podman, name: str, others: Iterable[str] = ()) -> ConfigError:
    known = [network.name for network in await podman.networks.list()]
    return ConfigError(
        f"there is no network {name}{did_you_mean(name, (*others, *known))}",
        hint="`barasync network list` lists those of the service",
    )


async def _containers(podman: Podman, network: str) -> list[str]:
    """Return the names of the containers that are on a network, or will be when they start."""
    return sorted(
        container.names[0] if container.names else container.id
        for container in await podman.containers.list(all=True)
        if network in container.networks
    )


def _maker(network: NetworkInspect) -> str:
    run = network.labels.get(RUN)
    if run is not None:
        return f"run {run}"
    return "barasync" if MADE in network.labels else "others"


def _preset(network: NetworkInspect) -> str | None:
    """Return what cells have that are put on it by its name; `None` for a network of others."""
    return network.labels.get(PRESET, Preset.PRIVATE.value) if MADE in network.labels else None


def _as_data(network: NetworkInspect) -> dict[str, object]:
    return {
        "name": network.name,
        "id": network.id,
        "subnets": [
            {"subnet": subnet.subnet, "gateway": subnet.gateway} for subnet in network.subnets
        ],
        "interface": network.interface,
        "internal": network.internal,
        "ipv6": network.ipv6_enabled,
        "dns": network.dns_enabled,
        "made_by": _maker(network),
        "preset": _preset(network),
        "labels": network.labels,
    }
