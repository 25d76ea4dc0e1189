"""What `barasync container list` does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio
import typer

from barasync.aiopodman import ContainerStats, ContainerSummary, Podman, PodmanError
from barasync.cli.columns import in_columns
from barasync.cli.connect import reach
from barasync.cli.containers import listed_containers
from barasync.cli.printing import print_all
from barasync.cli.resolution import ID_DIGITS, called, is_of_barasync, of_run
from barasync.engine.detached import is_detached
from barasync.engine.identity import ATTEMPT, CELL, RUN
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
_NONE = "-"
_STATS_SECONDS = 5.0
_NANOSECONDS = 1e9


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
    as_json: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Print the containers of a service that barasync made, or `everything`, by run and cell.

    Raises:
        ConfigError: no container is of such a run, or of such a cell.
    """
    async with reach(url, environ, notify=partial(typer.echo, err=True)) as reached:
        podman = reached.podman
        listed = await listed_containers(podman)
        wanted = of_run(
            (each for each in listed if everything or is_of_barasync(each)), run=run, cell=cell
        )
        wanted.sort(key=_order)
        rows = await _rows(podman, wanted)
    if as_json:
        return await print_all(json.dumps([as_data(row) for row in rows], indent=2), environ)
    now = time.time()
    table = in_columns([_COLUMNS, *(tuple(map(plain, as_text(row, now))) for row in rows)])
    return await print_all(table, environ)


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
    return {
        "id": its.id,
        "names": its.names,
        "run": its.labels.get(RUN),
        "cell": its.labels.get(CELL),
        "attempt": its.labels.get(ATTEMPT),
        "detached": is_detached(its.names, its.labels),
        "state": its.state,
        "exit_code": its.exit_code if its.exited_at > 0 else None,
        "health": its.health or None,
        "image": its.image,
        "image_id": its.image_id,
        "platform": row.platform or None,
        "created": None if its.created is None else its.created.astimezone(UTC).isoformat(),
        "started": _moment(its.started_at),
        "exited": _moment(its.exited_at),
        "memory_bytes": None if stats is None else stats.memory_bytes,
        "cpu_seconds": None if stats is None else stats.cpu_nanoseconds / _NANOSECONDS,
        "labels": its.labels,
    }


def _state(container: ContainerSummary) -> str:
    if container.state in {"exited", "stopped"}:
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
    # Of one that has just ended podman 4 tells that it consumes nothing.
    running = {each.id for each in wanted if each.state == "running"}
    stats = await _stats(podman) if running else {}
    return [
        Row(
            each,
            str(platforms.get(each.image_id, "")),
            stats.get(each.id) if each.id in running else None,
        )
        for each in wanted
    ]


async def _stats(podman: Podman) -> dict[str, ContainerStats]:
    """Take one sample of what runs, empty where podman has none.

    That is so without root on cgroup v1, and when a container vanishes while podman looks.
    """
    try:
        with anyio.move_on_after(_STATS_SECONDS):
            async with podman.containers.stats() as samples:
                async for sample in samples:
                    return {each.container_id: each for each in sample.stats or ()}
    except PodmanError:
        # The list is worth showing without.
        pass
    return {}
