"""What `barasync container stats` does."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import anyio
import typer

from barasync.aiopodman import ContainerStats, ContainerSummary, Podman, StatsReport
from barasync.cli.columns import in_columns
from barasync.cli.connect import reach
from barasync.cli.containers import listed_containers, not_running
from barasync.cli.printing import Printer, printing
from barasync.cli.resolution import called, is_live, is_of_barasync, of_run, resolve
from barasync.engine.identity import CELL, RUN
from barasync.errors import EXIT_OK
from barasync.report.words import size

_COLUMNS = ("NAME", "CPU", "MEMORY", "LIMIT", "PIDS", "READ", "WRITTEN")
_NONE = "-"
_NANOSECONDS = 1e9
_PAUSE_SECONDS = 0.2
# What podman calls a container that is yet to run.
_AHEAD = frozenset({"configured", "created"})


@dataclass(frozen=True, slots=True)
class Figures:
    """What a container consumes; `cpu_percent` is of one core since the sample before, if any."""

    container: ContainerSummary
    stats: ContainerStats
    cpu_percent: float | None


class Meter:
    """Turns samples into figures: how much of a core was used takes two of them."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[int, float]] = {}

    def figures(
        self, sample: StatsReport, containers: Mapping[str, ContainerSummary], now: float
    ) -> list[Figures]:
        """Return the figures of those `containers` that a sample has, by name; `now` in seconds.

        What podman 4 tells of one that has just ended, that it consumes nothing, is left out.
        """
        found, before = [], self._before
        self._before = {}
        for stats in sample.stats or ():
            container = containers.get(stats.container_id)
            if container is None or not (stats.cpu_nanoseconds or stats.memory_bytes):
                continue
            self._before[container.id] = stats.cpu_nanoseconds, now
            percent = None
            if container.id in before:
                used, then = before[container.id]
                seconds = max(now - then, 1 / _NANOSECONDS)
                percent = max(0.0, stats.cpu_nanoseconds - used) / _NANOSECONDS / seconds * 100
            found.append(Figures(container, stats, percent))
        return sorted(found, key=lambda each: called(each.container))


async def show_stats(
    words: Sequence[str],
    *,
    run: str | None,
    stream: bool,
    as_json: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Print what containers consume: those named, those of a run, or all that barasync made.

    One stream of podman's tells it for all of them. With `stream` it goes on, until those that
    were named, or those of the run, have ended; a container that joins the run is taken in.

    Raises:
        ConfigError: a word means no container, several, or one that does not run; there is none of
            such a run.
    """
    async with reach(url, environ, notify=partial(typer.echo, err=True)) as reached:
        watched = _Watched(reached.podman, run)
        await watched.look(words)
        with printing(environ) as printer:
            show = _Lines(printer) if as_json else _Table(printer)
            return await _show_samples(reached.podman, watched, show, stream=stream)


async def _show_samples(
    podman: Podman, watched: _Watched, show: _Lines | _Table, *, stream: bool
) -> int:
    meter = Meter()
    number = nothing = 0
    async with aclosing(_samples(podman)) as samples:
        async for sample in samples:
            number += 1
            await watched.look_again(sample)
            figures = meter.figures(sample, watched.containers, time.monotonic())
            # The first has no shares of a core.
            if stream or number > 1:
                code = await show.show(figures, stream)
                if code != EXIT_OK or not stream:
                    return code
            # Between two cells of a run there may be none.
            nothing = 0 if figures else nothing + 1
            if watched.bounded and nothing > 1 and not await watched.go_on():
                break
    return EXIT_OK


class _Watched:
    """The containers of which figures are wanted, by ID; `bounded` says that there is an end."""

    def __init__(self, podman: Podman, run: str | None) -> None:
        self._podman = podman
        self._run = run
        self._named = False
        self._seen: set[str] = set()
        self.bounded = run is not None
        self.containers: dict[str, ContainerSummary] = {}

    async def look(self, words: Sequence[str]) -> None:
        """Find those that are named, or those of the run, or all of barasync."""
        listed = await listed_containers(self._podman)
        self._seen = {each.id for each in listed}
        self._named = bool(words)
        self.bounded = self.bounded or self._named
        if words:
            wanted = [resolve(word, listed) for word in words]
            for each in wanted:
                if each.state != "running":
                    raise not_running(called(each), called(each), each.state, each.exit_code)
        else:
            wanted = of_run(filter(is_of_barasync, listed), run=self._run, cell=None)
            if self._run is not None:
                # The word may be no more than its beginning, and of another one later on.
                self._run = wanted[0].labels[RUN]
        self.containers = {each.id: each for each in wanted}

    async def go_on(self) -> bool:
        """Tell whether one of those that are watched runs, or is yet to run."""
        for each in await listed_containers(self._podman):
            joins = not self._named and is_of_barasync(each) and self._run == each.labels.get(RUN)
            if (joins or each.id in self.containers) and (is_live(each) or each.state in _AHEAD):
                return True
        return False

    async def look_again(self, sample: StatsReport) -> None:
        """Take in what has come since, where a sample has a container that is not known."""
        there = {each.container_id for each in sample.stats or ()}
        if self._named or there <= self._seen:
            return
        for each in await listed_containers(self._podman):
            self._seen.add(each.id)
            if is_of_barasync(each) and self._run in {None, each.labels[RUN]}:
                self.containers[each.id] = each
        # What is gone again meanwhile is not asked for once more.
        self._seen |= there


async def _samples(podman: Podman) -> AsyncGenerator[StatsReport]:
    """Yield samples for ever; podman ends a stream when a container vanishes while it looks."""
    while True:
        async with podman.containers.stats() as samples:
            async for sample in samples:
                if sample.error is not None:
                    break
                yield sample
        await anyio.sleep(_PAUSE_SECONDS)


class _Table:
    """Prints a table; on a terminal each takes the place of the one before."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._lines = 0
        self._first = True

    async def show(self, figures: Sequence[Figures], stream: bool) -> int:
        """Print what each container consumes; return the exit code as `Printer.print` does."""
        lines = in_columns([_COLUMNS, *map(_as_text, figures)]).splitlines()
        channel = self._printer.channel
        if not (channel.terminal and stream):
            before = [] if self._first else [""]
            self._first = False
            return await self._printer.print("\n".join([*before, *lines]))
        columns, rows = channel.size()
        shown = [line[: columns - 1] for line in lines[: max(1, rows - 1)]]
        back = f"\x1b[{self._lines}F\x1b[J" if self._lines else ""
        self._lines = len(shown)
        return await self._printer.print(back + "\n".join(shown))


class _Lines:
    """Prints samples as JSON, one a line where more follow."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer

    async def show(self, figures: Sequence[Figures], stream: bool) -> int:
        """Print what each container consumes; return the exit code as `Printer.print` does."""
        text = json.dumps([*map(_as_data, figures)], indent=None if stream else 2)
        return await self._printer.print(text)


def _as_text(each: Figures) -> tuple[str, ...]:
    stats = each.stats
    return (
        called(each.container),
        _NONE if each.cpu_percent is None else f"{each.cpu_percent:.0f} %",
        size(stats.memory_bytes),
        size(stats.memory_limit) if stats.memory_limit else _NONE,
        str(stats.pids),
        size(stats.block_input),
        size(stats.block_output),
    )


def _as_data(each: Figures) -> dict[str, object]:
    its, stats = each.container, each.stats
    return {
        "id": its.id,
        "name": called(its),
        "run": its.labels.get(RUN),
        "cell": its.labels.get(CELL),
        "cpu_percent": None if each.cpu_percent is None else round(each.cpu_percent, 2),
        "cpu_seconds": stats.cpu_nanoseconds / _NANOSECONDS,
        "memory_bytes": stats.memory_bytes,
        "memory_limit_bytes": stats.memory_limit or None,
        "pids": stats.pids,
        "read_bytes": stats.block_input,
        "written_bytes": stats.block_output,
    }
