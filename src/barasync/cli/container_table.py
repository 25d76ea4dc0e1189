"""What `barasync container list` does."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio
import typer

from barasync.aiopodman import (
    ContainerStats,
    ContainerSummary,
    NotFound,
    Podman,
    PodmanError,
    ProtocolError,
)
from barasync.cli.columns import fitted, in_columns, width
from barasync.cli.connect import reach
from barasync.cli.container_states import ENDED, State
from barasync.cli.containers import listed_containers
from barasync.cli.printing import print_all, printing
from barasync.cli.resolution import ID_DIGITS, called, is_live, is_of_barasync, of_run
from barasync.engine.detached import attempt_name, is_detached
from barasync.engine.identity import ATTEMPT, CELL, RUN
from barasync.errors import EXIT_OK
from barasync.images.fit import platforms_of
from barasync.report.words import age, size
from barasync.terminal_text import plain

_COLUMNS = (
    "RUN",
    "CELL",
    "STATE",
    "AGE",
    "PLATFORM",
    "HEALTH",
    "MEMORY",
    "CPU",
    "NAME",
    "ID",
)
_NAME = _COLUMNS.index("NAME")
_NONE = "-"
_STATS_SECONDS = 5.0
_NANOSECONDS = 1e9
_ASKED_AT_ONCE = 500
"""So many IDs make a URL of some 40,000 bytes; the client takes 65,536."""
# What tells least goes first where a terminal has no room; without the rest no row is known.
_LEAST_FIRST = ("PLATFORM", "CPU", "MEMORY", "AGE", "HEALTH", "NAME")


@dataclass(frozen=True, slots=True)
class Row:
    """A container with what its list does not tell: what it consumes, and its platform.

    `platform` is empty where the image is gone, `stats` is `None` where podman has none.
    """

    container: ContainerSummary
    platform: str
    stats: ContainerStats | None


async def list_containers(
    *,
    everything: bool,
    run: str | None,
    cell: str | None,
    states: Collection[State],
    as_json: bool,
    names: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Print the containers of a service that barasync made, or `everything`, by run and cell.

    Those in one of the `states`, in any if there are none; or only their `names`.

    Raises:
        ConfigError: no container is of such a run, or of such a cell.
    """
    async with reach(url, environ, notify=partial(typer.echo, err=True)) as reached:
        podman = reached.podman
        listed = await listed_containers(podman)
        found = of_run(
            (each for each in listed if everything or is_of_barasync(each)), run=run, cell=cell
        )
        wanted = sorted((each for each in found if _is_in(each, states)), key=_order)
        if names:
            lines = "\n".join(map(called, wanted))
            return await print_all(lines, environ) if wanted else EXIT_OK
        rows = await _rows(podman, wanted)
    if as_json:
        return await print_all(json.dumps([as_data(row) for row in rows], indent=2), environ)
    with printing(environ) as printer:
        channel = printer.channel
        columns = channel.size().columns if channel.terminal else None
        return await printer.print(as_table(rows, time.time(), columns))


def as_table(rows: Sequence[Row], now: float, columns: int | None) -> str:
    """Return the table of containers; for a terminal of so many `columns` it fits if it can.

    Where it would not, names are cut by what RUN and CELL say, that of an attempt altogether, and
    columns that say nothing are left out, then others.
    """
    lines = [tuple(map(plain, as_text(row, now))) for row in rows]
    if columns is None or width([_COLUMNS, *lines]) <= columns:
        return in_columns([_COLUMNS, *lines])
    short = [
        (*line[:_NAME], _short_name(row.container), *line[_NAME + 1 :])
        for row, line in zip(rows, lines, strict=True)
    ]
    return in_columns(fitted([_COLUMNS, *short], columns, least_first=_LEAST_FIRST))


def _short_name(container: ContainerSummary) -> str:
    """Return what RUN and CELL do not say of a name, nothing for the container of an attempt."""
    name, labels = called(container), container.labels
    try:
        attempt = attempt_name(labels[RUN], labels[CELL], labels[ATTEMPT])
    except KeyError:
        return plain(name)
    if name == attempt:
        return _NONE
    return plain(f"…{name.removeprefix(attempt)}" if name.startswith(f"{attempt}-") else name)


def as_text(row: Row, now: float) -> tuple[str, ...]:
    """Return what the table has of a container; `now` in seconds since the epoch."""
    its, stats = row.container, row.stats
    return (
        its.labels.get(RUN, _NONE),
        its.labels.get(CELL, _NONE),
        _state(its),
        _NONE if its.created is None else age(now - its.created.timestamp()),
        row.platform or _NONE,
        its.health or _NONE,
        _NONE if stats is None else size(stats.memory_bytes),
        _NONE if stats is None else f"{stats.cpu_nanoseconds / _NANOSECONDS:.1f} s",
        called(its),
        its.id[:ID_DIGITS],
    )


def as_data(row: Row) -> dict[str, object]:
    """Return what `--json` has of a container: bytes, seconds, times in UTC, `None` for nothing."""
    its, stats = row.container, row.stats
    # One that was started again has the end of its last time.
    ended = its.exited_at > 0 and not is_live(its)
    return {
        "id": its.id,
        "names": its.names,
        "run": its.labels.get(RUN),
        "cell": its.labels.get(CELL),
        "attempt": its.labels.get(ATTEMPT),
        "detached": is_detached(its.names, its.labels),
        "state": its.state,
        "exit_code": its.exit_code if ended else None,
        "health": its.health or None,
        "image": its.image,
        "image_id": its.image_id,
        "platform": row.platform or None,
        "created": None if its.created is None else its.created.astimezone(UTC).isoformat(),
        "started": _moment(its.started_at),
        "exited": _moment(its.exited_at) if ended else None,
        "memory_bytes": None if stats is None else stats.memory_bytes,
        "cpu_seconds": None if stats is None else stats.cpu_nanoseconds / _NANOSECONDS,
        "labels": its.labels,
    }


def _is_in(container: ContainerSummary, states: Collection[State]) -> bool:
    return not states or any(state.means(container.state) for state in states)


def _state(container: ContainerSummary) -> str:
    if container.state in ENDED:
        return f"{container.state} ({container.exit_code})"
    return container.state


def _moment(seconds: int) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds > 0 else None


def _order(container: ContainerSummary) -> tuple[bool, str, str, str]:
    labels = container.labels
    return RUN not in labels, labels.get(RUN, ""), labels.get(CELL, ""), called(container)


async def _rows(podman: Podman, containers: Iterable[ContainerSummary]) -> list[Row]:
    wanted = list(containers)
    platforms = await platforms_of(podman, {each.image_id for each in wanted if each.image_id})
    stats = await samples_of(podman, [each.id for each in wanted if each.state == "running"])
    return [Row(each, str(platforms.get(each.image_id, "")), stats.get(each.id)) for each in wanted]


async def samples_of(podman: Podman, running: Sequence[str]) -> dict[str, ContainerStats]:
    """Take one sample of containers, by ID; it lacks those of which podman has none.

    That is so without root on cgroup v1. Where one of them vanishes while podman looks it tells of
    none: those that still run are then looked at once more. `_STATS_SECONDS` is for all of it.
    """
    found: dict[str, ContainerStats] = {}
    with anyio.move_on_after(_STATS_SECONDS):
        for start in range(0, len(running), _ASKED_AT_ONCE):
            asked = running[start : start + _ASKED_AT_ONCE]
            for stats in await _sample(podman, asked):
                # Of one that has just ended podman tells that it consumes nothing.
                if stats.cpu_nanoseconds or stats.memory_bytes:
                    found[stats.container_id] = stats
    return found


async def _sample(podman: Podman, asked: Sequence[str]) -> Sequence[ContainerStats]:
    # The list is worth showing without.
    with suppress(PodmanError):
        try:
            return await podman.containers.sample(asked)
        except (NotFound, ProtocolError):
            there = {each.id for each in await podman.containers.list()}
            if still := [each for each in asked if each in there]:
                return await podman.containers.sample(still)
    return ()
