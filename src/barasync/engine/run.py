"""A run of a plan: schedules the cells, tries again what may be, and answers for the whole.

The only place that starts a task per cell. Failing cells are data; an interruption, the end of the
run's time, a lost service and the first failure under `--fail-fast` all end a run the same way:
what waits is dropped, what runs is cancelled, every cell gets an outcome.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from barasync.aiopodman import PodmanError
from barasync.engine.aftermath import NOT_THE_LAST
from barasync.engine.attempt import leaked
from barasync.engine.job import Session
from barasync.engine.memory import LookAtMemory
from barasync.engine.networks import Networks
from barasync.engine.phases import Phases
from barasync.engine.podman_names import PodmanNames
from barasync.engine.reaper import Kind
from barasync.engine.resolvers import Resolvers
from barasync.engine.retry import is_retried
from barasync.engine.scheduler import Scheduler
from barasync.engine.sweep import Left, Remains, sweep
from barasync.engine.turn import Preparation, Recorder, Turns
from barasync.errors import (
    EXIT_INTERRUPTED,
    EXIT_NOT_PASSED,
    EXIT_OK,
    BarasyncError,
    EngineUnavailable,
)
from barasync.events import (
    AdmissionHeld,
    CellFinished,
    CellLeaked,
    CellRetried,
    CellStarted,
    RunFinished,
)
from barasync.images.snapshot import drop_snapshot
from barasync.matrix.cells import Cell
from barasync.matrix.outcome import Outcome, Status
from barasync.matrix.plan import Plan

_PING_SECONDS = 30.0
_LOOK_SECONDS = 0.25

ClearUp = Callable[[], Awaitable[Sequence[str]]]
"""Removes what was made for the run as a whole; returns sentences on what of it is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run came to: an outcome for every cell of the plan, in its order.

    `problem` says what is no cell's affair: why the run ended early, and what is left of it.
    """

    outcomes: Mapping[str, Outcome]
    exit_code: int
    problem: str | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stopped:
    """Why a run ended early; the status of the cells that ran then, and of those that waited."""

    running: Status
    waiting: Status
    reason: str


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt that has ended."""

    number: int
    outcome: Outcome
    seconds: float


@dataclass(slots=True)
class _Progress:
    """What has happened so far; changed by this module only.

    `ready` is when a cell began to wait for its turn, `failed` the last attempt of each cell that
    is to be tried again, `released` the cells whose command has ended.
    """

    attempts: Counter[str] = field(default_factory=Counter)
    ready: dict[str, float] = field(default_factory=dict)
    failed: dict[str, _Attempt] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    scopes: dict[str, anyio.CancelScope] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    error: BarasyncError | None = None
    stopped: _Stopped | None = None
    interrupted: bool = False
    held: bool = False


class Run:
    """One run of a plan over one podman service.

    `scheduler` holds the cells of the plan and nothing else; `deadline` is in seconds.
    """

    def __init__(
        self,
        plan: Plan,
        session: Session,
        preparation: Preparation,
        recorder: Recorder,
        *,
        scheduler: Scheduler,
        fail_fast: bool,
        deadline: float | None,
        wall_clock: Callable[[], float],
    ) -> None:
        self._cells = {cell.id: cell for cell in plan.cells}
        self._session = session
        self._recorder = recorder
        self._fail_fast = fail_fast
        self._deadline = deadline
        self._now = wall_clock
        self._resolvers = Resolvers(here=session.gateways_here, host=session.host)
        self._networks = Networks(
            session.podman,
            session.run,
            session.labels,
            self._resolvers,
            proxies=session.proxies,
            host=session.host,
        )
        self._names = PodmanNames(
            session.podman,
            session.run,
            session.labels,
            self._networks.present,
            gates=session.gates,
            idle=session.idle,
            rlimits=session.rlimits,
        )
        self._turns = Turns(
            plan, session, preparation, recorder, networks=self._networks, wall_clock=wall_clock
        )
        self._scheduler = scheduler
        self._progress = _Progress()

    def interrupt(self) -> None:
        """Drop what waits and cancel what runs; a second call cuts the grace of cells short.

        `execute` then returns as usual, after every container is gone.
        """
        if self._progress.interrupted:
            self._session.hurry.set()
        self._progress.interrupted = True
        self._stop(Status.CANCELLED, "the run was interrupted")

    def stop(self, reason: str) -> bool:
        """Cancel what runs and drop what waits, without an interruption; tell whether that is done.

        It is not where the run is stopped already, or where every command has ended, so that files
        are collected and nothing else. `execute` then returns as usual.
        """
        if self._progress.stopped is not None or self._progress.released >= self._cells.keys():
            return False
        self._stop(Status.CANCELLED, reason)
        return True

    async def execute(self, clear_up: ClearUp | None = None) -> RunResult:
        """Run every cell and return when nothing of the run is left, or what is left is known.

        `clear_up` is called once no container is left, before the record says how the run ended:
        what it could not remove belongs to that. From then on an interruption changes nothing.
        When cancelled from outside, the containers are removed all the same before it returns.
        """
        started = self._session.clock()
        try:
            await self._run_cells()
        finally:
            remains = await sweep(self._session.podman, self._session.run, self._session.cgroup)
            kept = () if remains.detached else await self._networks.remove()
        for left in (*remains.containers, *remains.volumes):
            self._blame(left)
        interrupted = self._progress.interrupted
        if clear_up is not None:
            kept = (*kept, *await clear_up())
        seconds = self._session.clock() - started
        return self._finish(seconds, remains, kept, interrupted=interrupted)

    async def _run_cells(self) -> None:
        self._progress.ready = dict.fromkeys(self._cells, self._session.clock())
        # A cell that has ended, or `None` where there is another reason to ask the scheduler.
        send, receive = anyio.create_memory_object_stream[str | None](math.inf)
        if self._session.look_at_memory is not None:
            await self._heed_memory(self._session.look_at_memory)
        with send, receive:
            async with anyio.create_task_group() as watchers:
                self._watch(watchers, partial(send.send_nowait, None))
                async with anyio.create_task_group() as group:
                    while not self._scheduler.done:
                        while (cell := self._scheduler.ready()) is not None:
                            self._scheduler.started(cell)
                            group.start_soon(self._run_cell, self._cells[cell], send.send_nowait)
                        if not self._scheduler.done:
                            self._take_back(await receive.receive())
                watchers.cancel_scope.cancel()

    def _watch(self, group: TaskGroup, wake: Callable[[], None]) -> None:
        """Start what goes on beside the cells and is to end with them."""
        group.start_soon(self._resolvers.serve)
        if self._session.gateways_here:
            group.start_soon(self._names.look_after)
        if self._deadline is not None:
            group.start_soon(self._enforce_deadline, self._deadline)
        if self._session.sampler is not None:
            group.start_soon(self._session.sampler.run)
        if self._session.look_at_memory is not None:
            group.start_soon(self._watch_memory, self._session.look_at_memory, wake)

    def _take_back(self, cell: str | None) -> None:
        """Tell the scheduler that a cell has ended; without an outcome it is to be tried again."""
        if cell is None:
            return
        again = cell not in self._progress.outcomes
        self._scheduler.finished(cell, again=again)
        if again and self._progress.stopped is not None:
            self._drop(cell)

    async def _enforce_deadline(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        reason = f"the run's deadline of {seconds:g} s was over"
        self._stop(Status.TIMED_OUT, reason, waiting=Status.CANCELLED)

    async def _watch_memory(self, look: LookAtMemory, wake: Callable[[], None]) -> None:
        """Hold cells back while the host runs short of memory."""
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            if await self._heed_memory(look):
                wake()

    async def _heed_memory(self, look: LookAtMemory) -> bool:
        """Look at the host and tell whether that changes anything.

        Cells that have their turn but no container yet are held back as well.
        """
        found = await to_thread.run_sync(look)
        held = found is not None
        if held == self._progress.held:
            return False
        self._progress.held = held
        self._scheduler.hold(on=held)
        self._session.gates.hold(on=held)
        reason = "" if found is None else found.reason
        self._recorder.emit(AdmissionHeld(at=self._now(), reason=reason))
        return True

    def _release(self, cell: str, tell: Callable[[str | None], None]) -> None:
        """Let others have what a cell claimed; it only has its artifacts collected."""
        self._progress.released.add(cell)
        self._scheduler.released(cell)
        tell(None)

    async def _run_cell(self, cell: Cell, tell: Callable[[str | None], None]) -> None:
        """Take a cell through one turn; the scheduler hears of its end whatever happens."""
        started = self._session.clock()
        self._progress.attempts[cell.id] += 1
        self._progress.released.discard(cell.id)
        number = self._progress.attempts[cell.id]
        phases = Phases(self._session.clock, {"queue": started - self._progress.ready[cell.id]})
        self._recorder.emit(CellStarted(at=self._now(), cell=cell.id, attempt=number))
        released = partial(self._release, cell.id, tell)
        taken = await self._turns.take(
            cell, number, partial(self._cancellable, cell.id), phases, released
        )
        outcome = replace(taken.outcome, phases=dict(phases.durations))
        if outcome.status is Status.CANCELLED:
            stopped = self._stopped
            outcome = replace(outcome, status=stopped.running, reason=stopped.reason)
        self._progress.error = self._progress.error or taken.error
        await self._recorder.remove_stale(cell.id, number)
        seconds = self._session.clock() - started
        if not outcome.passed:
            await self._look_after(outcome)
        stays = self._progress.stopped is None and taken.error is None
        if stays and is_retried(outcome, cell.settings, number):
            outcome = await self._without_snapshot(outcome)
            self._retry(cell.id, number, outcome, seconds)
        else:
            outcome = replace(outcome, flaky=outcome.passed and number > 1)
            self._conclude(cell.id, number, outcome, seconds)
            if self._fail_fast and not outcome.passed and self._progress.stopped is None:
                self._stop(Status.CANCELLED, f"{cell.id} did not pass and --fail-fast is on")
        tell(cell.id)

    async def _without_snapshot(self, outcome: Outcome) -> Outcome:
        """Remove the snapshot of an attempt that is not the last; the next takes its name anyway.

        It was taken where nobody knew that the cell had run out of memory.
        """
        snapshot = outcome.snapshot
        if snapshot is None or snapshot.image is None:
            return outcome
        try:
            await drop_snapshot(self._session.podman, snapshot.image)
        except PodmanError:
            return outcome
        return replace(outcome, snapshot=replace(snapshot, image=None, problem=NOT_THE_LAST))

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

    async def _look_after(self, outcome: Outcome) -> None:
        """Stop the run where the service behind a failure is gone."""
        suspicious = outcome.status in {Status.INFRASTRUCTURE_ERROR, Status.LEAKED}
        if not suspicious or self._progress.stopped is not None or await self._service_answers():
            return
        self._progress.error = EngineUnavailable(
            "the podman service stopped answering in the middle of the run",
            hint="`barasync clean` removes the containers it left, once podman is back",
        )
        self._stop(Status.INFRASTRUCTURE_ERROR, "the podman service is gone")

    async def _service_answers(self) -> bool:
        try:
            with anyio.fail_after(_PING_SECONDS):
                await self._session.podman.system.ping()
        except (PodmanError, TimeoutError):
            return False
        return True

    def _stop(self, running: Status, reason: str, *, waiting: Status | None = None) -> None:
        """Drop what waits and cancel what runs; the first reason given is the one that counts."""
        if self._progress.stopped is None:
            stopped = _Stopped(running=running, waiting=waiting or running, reason=reason)
            self._progress.stopped = stopped
        for cell in self._scheduler.stop():
            self._drop(cell)
        for scope in self._progress.scopes.values():
            scope.cancel()

    def _drop(self, cell: str) -> None:
        """Conclude a cell that waits and will not start any more, with the attempt that it had."""
        stopped = self._stopped
        failed = self._progress.failed.get(cell)
        if failed is None:
            outcome = Outcome(status=stopped.waiting, reason=f"not started: {stopped.reason}")
            self._conclude(cell, 0, outcome, 0.0)
            return
        before = f"{failed.outcome.status} ({failed.outcome.reason})"
        reason = f"not tried again: {stopped.reason}; before that: {before}"
        outcome = replace(failed.outcome, reason=reason)
        self._conclude(cell, failed.number, outcome, failed.seconds)

    @property
    def _stopped(self) -> _Stopped:
        assert self._progress.stopped is not None, "cells are cancelled by `_stop` only"
        return self._progress.stopped

    def _retry(self, cell: str, number: int, outcome: Outcome, seconds: float) -> None:
        self._progress.ready[cell] = self._session.clock()
        self._progress.failed[cell] = _Attempt(number, outcome, seconds)
        self._recorder.emit(
            CellRetried(at=self._now(), cell=cell, attempt=number, seconds=seconds, outcome=outcome)
        )

    def _conclude(self, cell: str, number: int, outcome: Outcome, seconds: float) -> None:
        self._progress.outcomes[cell] = outcome
        self._recorder.emit(
            CellFinished(
                at=self._now(), cell=cell, attempt=number, seconds=seconds, outcome=outcome
            )
        )

    def _blame(self, left: Left) -> None:
        """Make the cell of something that is left a leaked one, if its attempt did not.

        Of a cell that left several things the first container is what its outcome names.
        """
        outcome = self._progress.outcomes.get(left.cell or "")
        if outcome is None or left.cell is None:
            return
        if outcome.status is Status.LEAKED and (
            left.kind is Kind.VOLUME or outcome.container_id == left.id
        ):
            return
        outcome = leaked(outcome, left)
        self._progress.outcomes[left.cell] = outcome
        self._recorder.emit(CellLeaked(at=self._now(), cell=left.cell, outcome=outcome))

    def _finish(
        self, seconds: float, remains: Remains, kept: Sequence[str], *, interrupted: bool
    ) -> RunResult:
        outcomes = {cell: self._progress.outcomes[cell] for cell in self._cells}
        error = self._progress.error
        problems = (*(() if error is None else (str(error),)), *remains.problems, *kept)
        clean = remains.proven and not kept
        result = RunResult(
            outcomes=outcomes,
            exit_code=_exit_code(outcomes, error, clean=clean, interrupted=interrupted),
            problem="; ".join(problems) or None,
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


def _exit_code(
    outcomes: Mapping[str, Outcome],
    error: BarasyncError | None,
    *,
    clean: bool,
    interrupted: bool,
) -> int:
    """Reduce a run to its exit code; what hid a result outranks the results."""
    if interrupted:
        return EXIT_INTERRUPTED
    if error is not None:
        return error.exit_code
    passed = all(outcome.passed for outcome in outcomes.values())
    return EXIT_OK if passed and clean else EXIT_NOT_PASSED
