"""The recorder: where a run's events, output and artifacts go."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Protocol

from anyio import to_thread

from barasync.artifacts.collect import Collection
from barasync.artifacts.place import Place
from barasync.events import AnyEvent
from barasync.report.files import MANIFEST, SERVICES, RunDirectory, cell_logs
from barasync.report.jsonl import EventLog
from barasync.report.manifests import write_manifest
from barasync.report.result import ResultDocument, reduce_events
from barasync.report.spool import CellLog


class Audience(Protocol):
    """Who is told what happens: a `Console`, or several."""

    def emit(self, event: AnyEvent) -> None:
        """Take an event without waiting."""

    def written(self, cell: str) -> None:
        """Take note, without waiting, that the log of a cell has grown."""


class Recorder:
    """Records a run in its directory and tells the audience; the engine's `Recorder`.

    The event log and the audience belong to the caller, who opens and closes them around the run.
    `artifacts` is the place below which artifacts go, open for as long as this is used.
    """

    def __init__(
        self,
        directory: RunDirectory,
        events: EventLog,
        audience: Audience,
        *,
        artifacts: Place,
    ) -> None:
        self._directory = directory
        self._log = events
        self._audience = audience
        self._artifacts = artifacts
        self._events: list[AnyEvent] = []
        self._cell_logs: list[tuple[str, CellLog]] = []
        self._unwritten: list[str] = []
        # By cell: where artifacts are, and the attempt that they are of.
        self._places: dict[str, dict[Place, int]] = {}

    @property
    def run(self) -> str:
        """The run's id."""
        return self._directory.run

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self._directory.path

    @property
    def images(self) -> Path:
        """The directory of the logs of images that the run makes; it need not exist."""
        return self._directory.images

    def emit(self, event: AnyEvent) -> None:
        """Record an event, then show it."""
        self._events.append(event)
        self._log.emit(event)
        self._audience.emit(event)

    def open_log(self, cell: str, number: int) -> CellLog:
        """Return the log of an attempt, to be opened by `async with`."""
        log = CellLog(self._directory.logs(cell, number), cell, on_written=self._audience.written)
        self._cell_logs.append((cell, log))
        return log

    def open_service_log(self, cell: str, number: int, service: str) -> CellLog:
        """Return the log of a service of an attempt, to be opened by `async with`."""
        directory = self._directory.logs(cell, number) / SERVICES
        log = CellLog(directory, cell, on_written=_nobody, only=f"{service}.log")
        self._cell_logs.append((f"{cell}, service {service}", log))
        return log

    def artifacts(self, cell: str, number: int) -> Place:  # noqa: ARG002 - the last attempt's stay
        """Return the place for the artifacts of a cell; it need not exist."""
        return self._artifacts / cell

    async def keep_manifest(self, cell: str, number: int, collection: Collection) -> str | None:
        """Write down what was collected of an attempt.

        Returns where that is, relative to the run's directory, `None` where it could not be
        written; then it is one of the `problems`. When cancelled it is written all the same.
        """
        path = cell_logs(cell, number) / MANIFEST
        root = self.artifacts(cell, number)
        made = dict.fromkeys((root / place for place, _ in collection.manifests), number)
        self._places.setdefault(cell, {}).update(made)
        write = partial(write_manifest, self.path / path, self.run, cell, number, collection)
        try:
            await to_thread.run_sync(write)
        except OSError as error:
            self._unwritten.append(f"the manifest of the artifacts of {cell} is missing: {error}")
            return None
        return str(path)

    async def remove_stale(self, cell: str, number: int) -> None:
        """Remove the artifacts of earlier attempts that this one, which has ended, has not.

        What stays is one of the `problems`. When cancelled all are removed all the same.
        """
        places = self._places.get(cell, {})
        stale = [place for place, made_by in places.items() if made_by != number]
        if not stale:
            return
        for place in stale:
            del places[place]
        failed = await to_thread.run_sync(_remove, stale)
        self._unwritten += [f"what an earlier attempt of {cell} left stays: {e}" for e in failed]

    def document(self) -> ResultDocument:
        """Return the result of the run so far.

        Raises:
            ValueError: the run has not begun.
        """
        return reduce_events(self._events)

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be recorded and why, in sentences for a person."""
        problems = [
            f"the output of {cell} is incomplete on disk: {log.problem}"
            for cell, log in self._cell_logs
            if log.problem is not None
        ]
        problems += self._unwritten
        if self._log.problem is not None:
            problems.append(f"the record of this run is incomplete: {self._log.problem}")
        return tuple(problems)


def _nobody(_cell: str) -> None:
    """Show nothing: the output of services is for those who look for it."""


def _remove(places: Iterable[Place]) -> list[OSError]:
    """Remove what this run has made before; return what failed. Blocks."""
    failed: list[OSError] = []
    for place in places:
        try:
            place.remove()
        except OSError as error:
            failed.append(error)
    return failed
