"""One attempt of a cell: create, copy, start attached, drain, inspect, collect, remove.

The order never lost output in thousands of measured runs (`docs/podman.md`). A cell that does not
pass is data; every podman error becomes an `Outcome` in `_infrastructure_error`, nowhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from anyio import to_thread

from barasync.aiopodman import (
    Container,
    ContainerInspect,
    NotFound,
    OCIRuntimeError,
    PodmanError,
    quirks,
)
from barasync.artifacts.collect import Collection
from barasync.artifacts.ledger import Ledgers
from barasync.engine.collection import (
    Cancellable,
    Collecting,
    collect_artifacts,
    is_wanted,
    needs_overlay,
)
from barasync.engine.drain import Drain, Sink
from barasync.engine.ending import NoVerdict
from barasync.engine.image_gone import ImageGone
from barasync.engine.job import Job, Session, cgroup_of, container_spec, timeout_of_service
from barasync.engine.place import FreshPlace
from barasync.engine.reaper import Kind
from barasync.engine.sweep import Left
from barasync.engine.verdict import Observation, Verdict, judge, judge_refused_start, remark
from barasync.errors import BarasyncError, ConfigError
from barasync.matrix.outcome import Collected, Outcome, OutputCounts, Status, Usage
from barasync.workspace.destinations import mounted_in, send_copies
from barasync.workspace.live import mount_hint

# The cause that podman gives.
_NO_CONTAINER = "no such container"


class OutputLog(Sink, Protocol):
    """Where a cell's output goes."""

    @property
    def counts(self) -> OutputCounts:
        """How much was taken so far, and whether all of it is on disk."""


@dataclass(slots=True)
class Phases:
    """Durations in seconds by phase, as they are measured."""

    clock: Callable[[], float]
    durations: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the duration of the block to the phase `name`."""
        started = self.clock()
        try:
            yield
        finally:
            elapsed = self.clock() - started
            self.durations[name] = self.durations.get(name, 0.0) + elapsed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """How the container's part of an attempt ended; `verdict` where that is already decided.

    `output_problem` says why the output is incomplete, `None` when it is whole, and `output_doubt`
    why that cannot be told.
    """

    state: ContainerInspect | None = None
    deadline_hit: bool = False
    terminated: bool = False
    seconds: float = 0.0
    verdict: Verdict | None = None
    output_problem: str | None = None
    output_doubt: str | None = None
    output_recovered: bool = False
    collected: tuple[Collected, ...] = ()
    manifest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of a turn; `error` where the image, the layer or a copy could not be made."""

    outcome: Outcome
    error: BarasyncError | None = None


KeepManifest = Callable[[Collection], Awaitable[str | None]]
"""Writes down what was collected and says where; `None` if that cannot be."""


async def attempt(
    job: Job,
    session: Session,
    log: Sink,
    *,
    phases: Phases,
    on_start: Callable[[str], None],
    on_release: Callable[[], None],
    keep_manifest: KeepManifest,
    cancellable: Cancellable,
) -> Taken:
    """Run one attempt and say what became of it; its error where a copy changed or has no place.

    `on_start` is called with the container's ID once its command runs, `on_release` when it has
    ended and its artifacts are to be collected: the cell takes nothing of the host then. When a
    scope of `cancellable` is cancelled before the end, the outcome is `CANCELLED`, without a
    reason: the caller knows it. Afterwards only artifacts are given up that have not come.
    However it ends, the container is killed and removed before this returns, or reported as
    leaked, and its output so far is in `log`, which knows how much that is.

    Raises:
        ImageGone: there is no image of the job's ID any more.
    """
    cgroup = cgroup_of(job, session)
    try:
        spec = await to_thread.run_sync(container_spec, job, session)
    except ConfigError as error:
        return Taken(outcome=_refused(error), error=error)
    place = FreshPlace(
        session.podman,
        spec,
        gates=session.gates,
        cgroup=cgroup,
        phase=phases.measure,
        keeps_overlays=needs_overlay(job.cell.settings),
    )
    container_id: str | None = None
    refused: BarasyncError | None = None
    outcome = Outcome(status=Status.CANCELLED, output=OutputCounts(complete=False))
    try:
        async with AsyncExitStack() as stack:
            with cancellable() as scope:
                container = await stack.enter_async_context(place)
                container_id = container.id
                if session.copies:
                    with phases.measure("copy"):
                        mounted = mounted_in(job.cell.settings)
                        await send_copies(container, session.copies, mounted)
                drain = _drain(container, job, session, log)
                ended = await _execute(container, job, drain, phases, on_start)
            if not scope.cancelled_caught and _is_collected(ended, job):
                with phases.measure("collect"):

                    def release() -> None:
                        place.ended()
                        on_release()

                    queue = partial(session.gates.collecting, release)
                    collecting = Collecting(queue=queue, cancellable=cancellable)
                    ended = await _collect(
                        container,
                        ended,
                        job,
                        place,
                        collecting=collecting,
                        keep_manifest=keep_manifest,
                    )
        if not scope.cancelled_caught:
            outcome = _outcome(ended, job, session, place)
    except (PodmanError, TimeoutError) as error:
        if container_id is None and isinstance(error, NotFound):
            raise ImageGone(str(error)) from error
        outcome = _infrastructure_error(error, created=container_id is not None)
    except BarasyncError as error:
        refused, outcome = error, _refused(error)
    outcome = replace(
        outcome,
        container_id=container_id,
        warnings=(*place.warnings, *outcome.warnings),
        usage=_usage(place.usage, container_id, session),
    )
    if place.leaked is not None:
        outcome = leaked(outcome, Left(id=place.leaked, cell=job.cell.id))
    return Taken(outcome=outcome, error=refused)


def _refused(error: BarasyncError) -> Outcome:
    return Outcome(status=Status.INFRASTRUCTURE_ERROR, reason=str(error), hint=error.hint)


async def _execute(
    container: Container, job: Job, drain: Drain, phases: Phases, on_start: Callable[[str], None]
) -> _Ended:
    """Attach, start, drain, and read the state the container ended in."""
    try:
        async with AsyncExitStack() as stack:
            with phases.measure("start"):
                await drain.start(stack)
            on_start(container.id)
            with phases.measure("run"):
                state = await drain.run()
    except OCIRuntimeError as error:
        verdict = judge_refused_start(f"{error.message} {error.cause}", job.command)
        if verdict is None:
            raise
        return _Ended(verdict=verdict)
    except NoVerdict as error:
        return _Ended(
            verdict=Verdict(status=Status.INFRASTRUCTURE_ERROR, exit_code=None, reason=str(error)),
            output_problem=drain.problem,
            output_recovered=drain.recovered and drain.problem is None,
        )
    return _Ended(
        state=state,
        deadline_hit=drain.deadline_hit,
        terminated=drain.terminated,
        seconds=drain.seconds,
        output_problem=drain.problem,
        output_doubt=drain.doubt,
        output_recovered=drain.recovered and drain.problem is None,
    )


def _drain(container: Container, job: Job, session: Session, log: Sink) -> Drain:
    settings = job.cell.settings
    return Drain(
        session.podman,
        container,
        log,
        timeout=settings.timeout,
        grace=settings.stop_grace,
        gate=session.gates.start,
        hurry=session.hurry,
    )


def _is_collected(ended: _Ended, job: Job) -> bool:
    """Whether artifacts are wanted of a container that ended so."""
    if ended.state is None:
        return False
    ended_well = ended.state.state.exit_code == 0 and not ended.terminated
    passed = ended_well and ended.output_problem is None
    return is_wanted(job.cell.settings, passed=passed)


async def _collect(
    container: Container,
    ended: _Ended,
    job: Job,
    place: FreshPlace,
    *,
    collecting: Collecting,
    keep_manifest: KeepManifest,
) -> _Ended:
    assert ended.state is not None, "nothing is collected of a container without a state"
    with Ledgers() as ledgers:
        collection = await collect_artifacts(
            container,
            ended.state,
            job.cell.settings,
            job.artifacts,
            place.writes,
            collecting=collecting,
            ledgers=ledgers,
        )
        manifest = await keep_manifest(collection)
    return replace(ended, collected=collection.artifacts, manifest=manifest)


def _usage(read: Usage, container_id: str | None, session: Session) -> Usage:
    """Return what the cell's cgroup told, else what was sampled."""
    if read.exact or session.sampler is None or container_id is None:
        return read
    return session.sampler.usage(container_id)


def _outcome(ended: _Ended, job: Job, session: Session, place: FreshPlace) -> Outcome:
    """Fold what was observed into an outcome; usage and counts are filled in by the caller."""
    noticed: list[str] = []
    if ended.output_recovered:
        noticed.append("podman broke off the output, which was completed from its log")
    if ended.output_doubt is not None:
        noticed.append(ended.output_doubt)
    if ended.verdict is not None:
        verdict = ended.verdict
    else:
        seen = _observation(ended, job, session, place)
        verdict = judge(seen)
        noticed += filter(None, (remark(seen),))
    missing = [item for item in ended.collected if item.problem is not None]
    if verdict.status is Status.PASSED and ended.output_problem is not None:
        verdict = Verdict(
            status=Status.INFRASTRUCTURE_ERROR,
            exit_code=verdict.exit_code,
            reason=ended.output_problem,
        )
    elif verdict.status is Status.PASSED and missing:
        first = missing[0]
        verdict = Verdict(
            status=Status.ARTIFACTS_INCOMPLETE,
            exit_code=verdict.exit_code,
            reason=f"artifact {first.source}: {first.problem}",
        )
    return Outcome(
        status=verdict.status,
        exit_code=verdict.exit_code,
        reason=verdict.reason,
        hint=verdict.hint,
        warnings=tuple(noticed),
        output=OutputCounts(complete=ended.output_problem is None),
        artifacts=ended.collected,
        manifest=ended.manifest,
    )


def _observation(ended: _Ended, job: Job, session: Session, place: FreshPlace) -> Observation:
    assert ended.state is not None, "an attempt ends with a state or a verdict"
    told = not quirks.OOM_KILLED_UNSET.is_active(session.podman.version.release)
    return Observation(
        exit_code=ended.state.state.exit_code,
        command=job.command,
        oom_killed=ended.state.state.oom_killed if told else None,
        deadline_hit=ended.deadline_hit,
        terminated=ended.terminated,
        timeout=job.cell.settings.timeout,
        server_timeout=timeout_of_service(job),
        seconds=ended.seconds,
        memory_limit_bytes=job.cell.settings.memory,
        oom_kills=place.oom_kills,
    )


def _infrastructure_error(error: Exception, *, created: bool) -> Outcome:
    """Say that podman, not the cell, failed; `created` tells whether there was a container."""
    hint = None
    if isinstance(error, TimeoutError):
        late = "bring the container to an end" if created else "create the container"
        reason = str(error) or f"podman did not {late} in time"
    elif isinstance(error, NotFound) and error.cause == _NO_CONTAINER:
        reason = "its container was removed while it ran, and not by this run"
        hint = "does something else clean up on this service, with `podman rm --force` say?"
    else:
        reason = f"podman: {error}"
        hint = mount_hint(reason)
    return Outcome(
        status=Status.INFRASTRUCTURE_ERROR,
        reason=reason,
        hint=hint,
        output=OutputCounts(complete=False),
    )


def leaked(outcome: Outcome, left: Left) -> Outcome:
    """Return the outcome of a cell that has left something behind, whatever it was before."""
    before = f"; before that: {outcome.status}, {outcome.reason}" if outcome.reason else ""
    return replace(
        outcome,
        status=Status.LEAKED,
        container_id=outcome.container_id or (left.id if left.kind is Kind.CONTAINER else None),
        flaky=False,
        reason=f"{left.kind.value} {left.name} could not be removed{before}",
        hint=left.step,
    )
