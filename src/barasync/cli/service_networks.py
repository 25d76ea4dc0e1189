"""Networks that `barasync network create` has made, by their names, as networks of cells.

A name that is no preset, no table and none of podman's modes is looked for at the service, before
the plan is made. A table of the command line joins the network of its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import UNSET, structs

from barasync.cli.project import Project
from barasync.config.networks import parse_policies
from barasync.config.origin import DEFINE
from barasync.config.policies import ALONE, MODES, Preset
from barasync.config.schema import Document, NetworkTable
from barasync.config.spelling import closest
from barasync.errors import ConfigError, EngineUnavailable

if TYPE_CHECKING:
    from barasync.aiopodman import NetworkInspect

_VARIABLE = "BARASYNC_NETWORK"


def with_networks(
    project: Project,
    network: str | None,
    *,
    kept: str = "",
    url: str | None,
    environ: Mapping[str, str],
) -> Project:
    """Return a project with tables for the networks of the service that its cells may have.

    `network` is what the command line chooses, `None` where that is left to others, and `kept` what
    a cell had that is gone. The service is
    asked only if a name takes it, with one request. Where it cannot be reached, what was misspelt
    is left to be told.

    Raises:
        ConfigError: a network was made by somebody else, or with a preset that is not known.
        EngineUnavailable: the service cannot be reached.
        PodmanError: it does not say what networks there are.
    """
    document = project.document or Document()
    policies = parse_policies(document, project.origin)
    chosen = network or environ.get(_VARIABLE) or kept
    named = {chosen, *_defined(project, document)} - {"", *MODES}
    unknown = named - policies.keys()
    tables = {name for name in named & document.network.keys() if _joins(project, document, name)}
    if not unknown and not tables:
        return project
    found = _found(unknown, tables, url, environ)
    if isinstance(found, EngineUnavailable):
        if not all(closest(name, (*policies, *MODES)) for name in unknown):
            raise found
        return project
    joined = {each.name: _table(each, document) for each in found}
    defined = project.origin.defined | {("network", name) for name in joined}
    return replace(
        project,
        document=structs.replace(document, network={**document.network, **joined}),
        origin=replace(project.origin, defined=defined),
    )


def with_joined(
    project: Project, name: str, *, url: str | None, environ: Mapping[str, str]
) -> Project:
    """Return a project whose table of a name joins the network of it, where cells would.

    The service is asked only where the table is of the command line. Where it cannot be reached, or
    has no such network, the project is returned as it is.

    Raises:
        ConfigError: the network was made with a preset that is not known.
        PodmanError: the service does not say what networks there are.
    """
    document = project.document
    if document is None or name not in document.network or not _joins(project, document, name):
        return project
    return with_networks(project, name, url=url, environ=environ)


def _defined(project: Project, document: Document) -> Iterable[str]:
    """Give the networks that configurations of the command line choose."""
    for name, table in document.config.items():
        if table.network is not UNSET and project.origin.defines("config", name, "network"):
            yield table.network


def _joins(project: Project, document: Document, name: str) -> bool:
    """Tell whether a table is of the command line, and may join a network of its name."""
    return project.origin.defines("network", name) and document.network[name].join is UNSET


def _found(
    unknown: Collection[str], tables: Collection[str], url: str | None, environ: Mapping[str, str]
) -> list[NetworkInspect] | EngineUnavailable:
    """Return those of the service's networks that are meant, or why it is not known.

    `tables` do not mean those of others.
    """
    # The client takes 0.2 s to load; a name that is declared does without.
    from barasync.cli.connect import reach  # noqa: PLC0415 - as said
    from barasync.cli.interrupts import answer_of  # noqa: PLC0415 - likewise
    from barasync.engine.identity import MADE  # noqa: PLC0415 - likewise

    async def ask() -> list[NetworkInspect] | EngineUnavailable:
        try:
            # That a private service is started is said when it is started for cells.
            async with reach(url, environ, notify=lambda _: None) as reached:
                networks = await reached.podman.networks.list()
        except EngineUnavailable as error:
            return error
        return [
            each
            for each in networks
            if each.name in unknown or (each.name in tables and MADE in each.labels)
        ]

    return answer_of(ask)


def _table(network: NetworkInspect, document: Document) -> NetworkTable:
    """Return the table by which cells are on a network of the service.

    Raises:
        ConfigError: it is not one for cells.
    """
    from barasync.engine.identity import MADE, PRESET, RUN  # noqa: PLC0415 - as in `_found`

    name = network.name
    if MADE not in network.labels:
        run = network.labels.get(RUN)
        maker = "somebody else" if run is None else f"the run {run}"
        raise ConfigError(
            f"the network {name} was made by {maker}, not by `barasync network create`",
            hint=f'a table with `join = "{name}"` says what cells on it may reach:'
            f" {DEFINE} network.NAME.join={name} and --network NAME",
        )
    preset = network.labels.get(PRESET, Preset.PRIVATE)
    if preset not in set(Preset):
        raise ConfigError(
            f"the network {name} has the preset {preset!r}, which this barasync does not know",
            hint=f"there are {', '.join(Preset)}",
        )
    if name in document.network:
        table = document.network[name]
        base = preset if table.base is UNSET else table.base
        return structs.replace(table, base=base, join=name)
    return NetworkTable(base=preset, join=UNSET if preset in ALONE else name)
