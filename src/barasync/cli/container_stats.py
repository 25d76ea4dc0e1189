"""What `barasync container stats` does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

import typer

from barasync.aiopodman import ContainerSummary, Podman, StatsReport
from barasync.cli.columns import in_columns
from barasync.cli.connect import reach
from barasync.cli.container_samples import Figures, Meter, newest_samples
from barasync.cli.containers import listed_containers, not_running, podman_at
from barasync.cli.printing import Printer, printing
from barasync.cli.resolution import called, is_live, is_of_barasync, of_run, resolve
from barasync.engine.identity import CELL, RUN
from barasync.errors import EXIT_OK
from barasync.report.words import size

_COLUMNS = ("NAME", "CPU", "MEMORY", "LIMIT", "PIDS", "READ", "WRITTEN")
_NONE = "-"
_NANOSECONDS = 1e9
# What podman calls a container that is yet to run.
_AHEAD = frozenset({"configured", "created"})


class Show(Protocol):
    """Where figures are shown."""

    async def show(self, figures: Sequence[Figures], stream: bool, /) -> int:
        """Print what each container consumes; return the exit code as `Printer.print` does."""


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
        watched = Watched(reached.podman, run)
        await watched.look(words)
        with printing(environ) as printer:
            show = _Lines(printer) if as_json else Table(printer)
            return await show_samples(reached.podman, watched, show, stream=stream)


async def show_samples(podman: Podman, watched: Watched, show: Show, *, stream: bool) -> int:
    """Show what podman tells of those that are watched; return the exit code.

    While `show` waits for who reads, samples pass by: the next one that it gets is the newest.
    """
    meter = Meter()
    number = nothing = 0
    async with newest_samples(podman) as newest:
        while True:
            sample = await newest.take()
            number += 1
            await watched.look_again(sample)
            figures = meter.figures(sample, watched.containers)
            # The first has no shares of a core.
            if stream or number > 1:
                code = await show.show(figures, stream)
                if code != EXIT_OK or not stream:
                    return code
            # Between two cells of a run there may be none.
            nothing = 0 if figures else nothing + 1
            if watched.bounded and nothing > 1 and not await watched.go_on():
                return EXIT_OK


class Watched:
    """The containers of which figures are wanted, by ID; `bounded` says that there is an end.

    `known` are the IDs of all that there were when they were listed last.
    """

    def __init__(self, podman: Podman, run: str | None) -> None:
        self._podman = podman
        self._run = run
        self._named = False
        self.known: set[str] = set()
        self.bounded = run is not None
        self.containers: dict[str, ContainerSummary] = {}

    async def look(self, words: Sequence[str]) -> None:
        """Find those that are named, or those of the run, or all of barasync."""
        listed = await listed_containers(self._podman)
        self.known = {each.id for each in listed}
        self._named = bool(words)
        self.bounded = self.bounded or self._named
        if words:
            wanted = [resolve(word, listed) for word in words]
            for each in wanted:
                if each.state != "running":
                    name, run = called(each), each.labels.get(RUN)
                    podman = podman_at(self._podman.endpoint)
                    raise not_running(
                        name, name, each.state, each.exit_code, run=run, podman=podman
                    )
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
        if self._named or there <= self.known:
            return
        listed = await listed_containers(self._podman)
        self.containers = {
            each.id: each
            for each in listed
            if is_of_barasync(each) and self._run in {None, each.labels[RUN]}
        }
        # What is gone again meanwhile is not asked for once more.
        self.known = there.union(each.id for each in listed)


class Table:
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
        shown = [line[: columns - 1] for line in _in_rows(lines, max(1, rows - 1))]
        back = f"\x1b[{self._lines}F\x1b[J" if self._lines else ""
        self._lines = len(shown)
        return await self._printer.print(back + "\n".join(shown))


def _in_rows(lines: Sequence[str], rows: int) -> Sequence[str]:
    """Return the first lines of a table, the last of which says how many do not fit."""
    if len(lines) <= rows:
        return lines
    shown = lines[: rows - 1]
    # Its heading is no container.
    left = len(lines) - max(len(shown), 1)
    return [*shown, f"… and {left} more"]


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
