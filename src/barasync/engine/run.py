"""A run of a plan: schedules the cells, prepares what they share, and answers for the whole.

The only place that starts a task per cell. Failing cells are data; an interruption, a lost service
and the first failure under `--fail-fast` all end a run the same way: what waits is dropped, what
runs is cancelled, every cell gets an outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio

from barasync.aiopodman import PodmanError
from barasync.config.schema import WorkspaceMode
from barasync.engine.attempt import Job, OutputLog, Session, attempt
from barasync.engine.once import Once
from barasync.engine.reaper import remove_cgroup, remove_run
from barasync.engine.scheduler import Scheduler
from barasync.errors import (
    EXIT_INTERRUPTED,
    EXIT_NOT_PASSED,
    EXIT_OK,
    BarasyncError,
    EngineUnavailable,
)
from barasync.events import AnyEvent, CellFinished, CellStarted, ContainerStarted, RunFinished
from barasync.images.resolve import WrongPlatform
from barasync.matrix.cells import Cell
from barasync.matrix.command import environment, expand
from barasync.matrix.outcome import Outcome, Status
from barasync.matrix.plan import Plan
from barasync.matrix.platforms import Platform

_PING_SECONDS = 5.0
_SWEEP_SECONDS = 30.0

_ImageKey = tuple[str, Platform, bool]


class Recorder(Protocol):
    """Where a run's events, output and artifacts go; made by whoever started the run."""

    def emit(self, event: AnyEvent) -> None:
        """Take an event without waiting."""

    def open_log(self, cell: str, number: int) -> AbstractAsyncContextManager[OutputLog]:
        """Open the log files of an attempt."""

    def artifacts(self, cell: str, number: int) -> Path:
        """Return the directory for the artifacts of an attempt; it need not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How the things that cells share are made; both raise `BarasyncError`.

    `image` resolves the image of a cell to an ID of its platform; `workspace` puts the project's
    files on top of it, `None` when no cell wants them. `has_bar` says that the project brings its
    own `./bar`.
    """

    image: Callable[[str, Platform], Awaitable[str]]
    workspace: Callable[[str, Platform], Awaitable[str]]
    has_bar: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run came to: an outcome for every cell of the plan, in its order."""

    outcomes: Mapping[str, Outcome]
    exit_code: int
    problem: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class _Stopped:
    """Why a run ended early, and the status of the cells that it ended."""

    status: Status
    reason: str


@dataclass(slots=True)
class _Progress:
    """What has happened so far; changed by this module only."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    scopes: dict[str, anyio.CancelScope] = field(default_factory=dict)
    error: BarasyncError | None = None
    stopped: _Stopped | None = None
    interrupted: bool = False


class Run:
    """One run of a plan over one podman service."""

    def __init__(
        self,
        plan: Plan,
        session: Session,
        preparation: Preparation,
        recorder: Recorder,
        *,
        jobs: int,
        fail_fast: bool,
        wall_clock: Callable[[], float],
    ) -> None:
        self._cells = {cell.id: cell for cell in plan.cells}
        self._plan = plan
        self._session = session
        self._preparation = preparation
        self._recorder = recorder
        self._fail_fast = fail_fast
        self._now = wall_clock
        self._scheduler = Scheduler(self._cells, jobs=jobs)
        self._progress = _Progress()
        self._images: Once[_ImageKey, str] = Once(self._prepare)

    def interrupt(self) -> None:
        """Drop what waits and cancel what runs; a second call changes nothing.

        `execute` then returns as usual, after every container is gone.
        """
        self._progress.interrupted = True
        self._stop(Status.CANCELLED, "the run was interrupted")

    async def execute(self) -> RunResult:
        """Run every cell and return when nothing of the run is left on the service.

        When cancelled from outside, the containers are removed all the same before it returns.
        """
        started = self._session.clock()
        try:
            await self._run_cells()
        finally:
            await self._sweep()
        return self._finish(self._session.clock() - started)

    async def _run_cells(self) -> None:
        send, receive = anyio.create_memory_object_stream[str](len(self._cells))
        with send, receive:
            async with anyio.create_task_group() as group:
                while not self._scheduler.done:
                    for cell in self._scheduler.ready():
                        group.start_soon(self._run_cell, self._cells[cell], send.send_nowait)
                    if self._scheduler.running:
                        self._scheduler.finished(await receive.receive())

    async def _sweep(self) -> None:
        """Remove what an attempt could not know of, a container whose creation timed out say."""
        try:
            with anyio.move_on_after(_SWEEP_SECONDS, shield=True):
                await remove_run(self._session.podman, self._session.run)
        except PodmanError:
            # The service is gone; the run says so already and `barasync clean` finds the rest.
            return
        finally:
            if self._session.cgroup is not None:
                with anyio.CancelScope(shield=True):
                    await remove_cgroup(self._session.cgroup)

    async def _run_cell(self, cell: Cell, done: Callable[[str], None]) -> None:
        """Run a cell to its outcome; the scheduler hears of its end whatever happens."""
        started = self._session.clock()
        number = 1
        self._recorder.emit(CellStarted(at=self._now(), cell=cell.id, attempt=number))
        outcome = await self._outcome(cell, number)
        if outcome.status is Status.CANCELLED:
            outcome = replace(outcome, status=self._stopped.status, reason=self._stopped.reason)
        self._conclude(cell.id, number, outcome, self._session.clock() - started)
        if not outcome.passed:
            await self._after_failure(cell.id, outcome)
        done(cell.id)

    async def _outcome(self, cell: Cell, number: int) -> Outcome:
        started = self._session.clock()
        try:
            with self._cancellable(cell.id) as scope:
                image = await self._images.get(_image_key(cell))
        except BarasyncError as error:
            return self._not_prepared(error)
        if scope.cancelled_caught:
            return Outcome(status=Status.CANCELLED)
        prepared = self._session.clock() - started
        job = self._job(cell, number, image)
        async with self._recorder.open_log(cell.id, number) as log:
            outcome = await attempt(
                job,
                self._session,
                log,
                on_start=partial(self._announce, job),
                cancellable=partial(self._cancellable, cell.id),
            )
        # Only a closed log knows whether all of it reached the disk.
        counts = log.counts
        return replace(
            outcome,
            phases={"prepare": prepared, **outcome.phases},
            output=replace(counts, complete=counts.complete and outcome.output.complete),
        )

    def _job(self, cell: Cell, number: int, image: str) -> Job:
        return Job(
            cell=cell,
            number=number,
            image=image,
            command=expand(
                cell, rule=self._plan.rule, args=self._plan.args, has_bar=self._preparation.has_bar
            ),
            environment={**environment(cell, run=self._session.run), **cell.settings.env},
            artifacts=self._recorder.artifacts(cell.id, number),
            in_workspace=cell.settings.workspace is not WorkspaceMode.NONE,
        )

    def _announce(self, job: Job, container: str) -> None:
        self._recorder.emit(
            ContainerStarted(
                at=self._now(),
                cell=job.cell.id,
                attempt=job.number,
                container=container,
                image=job.image,
            )
        )

    @contextmanager
    def _cancellable(self, cell: str) -> Iterator[anyio.CancelScope]:
        """Open a scope that `_stop` cancels, at once if it was called before."""
        with anyio.CancelScope() as scope:
            if self._progress.stopped is not None:
                scope.cancel()
            self._progress.scopes[cell] = scope
            try:
                yield scope
            finally:
                del self._progress.scopes[cell]

    async def _prepare(self, key: _ImageKey) -> str:
        reference, platform, in_workspace = key
        image = await self._preparation.image(reference, platform)
        return await self._preparation.workspace(image, platform) if in_workspace else image

    def _not_prepared(self, error: BarasyncError) -> Outcome:
        self._progress.error = self._progress.error or error
        wrong = isinstance(error, WrongPlatform)
        status = Status.WRONG_PLATFORM if wrong else Status.INFRASTRUCTURE_ERROR
        return Outcome(status=status, reason=str(error), hint=error.hint)

    async def _after_failure(self, cell: str, outcome: Outcome) -> None:
        suspicious = outcome.status in {Status.INFRASTRUCTURE_ERROR, Status.LEAKED}
        if suspicious and not await self._service_answers():
            self._progress.error = EngineUnavailable(
                "the podman service stopped answering in the middle of the run",
                hint="`barasync clean` removes the containers it left, once podman is back",
            )
            self._stop(Status.INFRASTRUCTURE_ERROR, "the podman service is gone")
        elif self._fail_fast and outcome.status is not Status.CANCELLED:
            self._stop(Status.CANCELLED, f"{cell} did not pass and --fail-fast is on")

    async def _service_answers(self) -> bool:
        try:
            with anyio.fail_after(_PING_SECONDS):
                await self._session.podman.system.ping()
        except (PodmanError, TimeoutError):
            return False
        return True

    def _stop(self, status: Status, reason: str) -> None:
        """Drop what waits and cancel what runs; the first reason given is the one that counts."""
        if self._progress.stopped is None:
            self._progress.stopped = _Stopped(status, reason)
        for cell in self._scheduler.stop():
            outcome = Outcome(status=status, reason=f"not started: {reason}")
            self._conclude(cell, 0, outcome, 0.0)
        for scope in self._progress.scopes.values():
            scope.cancel()

    @property
    def _stopped(self) -> _Stopped:
        assert self._progress.stopped is not None, "cells are cancelled by `_stop` only"
        return self._progress.stopped

    def _conclude(self, cell: str, number: int, outcome: Outcome, seconds: float) -> None:
        self._progress.outcomes[cell] = outcome
        self._recorder.emit(
            CellFinished(
                at=self._now(), cell=cell, attempt=number, seconds=seconds, outcome=outcome
            )
        )

    def _finish(self, seconds: float) -> RunResult:
        outcomes = {cell: self._progress.outcomes[cell] for cell in self._cells}
        error = self._progress.error
        result = RunResult(
            outcomes=outcomes,
            exit_code=_exit_code(outcomes, error, interrupted=self._progress.interrupted),
            problem=None if error is None else str(error),
            seconds=seconds,
        )
        self._recorder.emit(
            RunFinished(
                at=self._now(),
                run=self._session.run,
                seconds=seconds,
                exit_code=result.exit_code,
                counts=Counter(outcome.status.value for outcome in outcomes.values()),
                problem=result.problem,
            )
        )
        return result


def _image_key(cell: Cell) -> _ImageKey:
    settings = cell.settings
    return settings.image, cell.platform, settings.workspace is not WorkspaceMode.NONE


def _exit_code(
    outcomes: Mapping[str, Outcome], error: BarasyncError | None, *, interrupted: bool
) -> int:
    """Reduce a run to its exit code; what hid a result outranks the results."""
    if interrupted:
        return EXIT_INTERRUPTED
    if error is not None:
        return error.exit_code
    return EXIT_OK if all(outcome.passed for outcome in outcomes.values()) else EXIT_NOT_PASSED
