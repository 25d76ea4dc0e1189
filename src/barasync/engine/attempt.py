"""One attempt of a cell: create, copy, start attached, drain, inspect, collect, picture, remove.

The order never lost output in thousands of measured runs (`docs/podman.md`). A cell that does not
pass is data; every podman error becomes an `Outcome` in `_infrastructure_error`, nowhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from anyio import to_thread

from barasync.aiopodman import Container, DatabaseError, NotFound, OCIRuntimeError, PodmanError
from barasync.engine.aftermath import Aftermath, KeepManifest
from barasync.engine.collection import Cancellable, needs_overlay
from barasync.engine.drain import Drain, Sink
from barasync.engine.ended import Ended, outcome_of
from barasync.engine.ending import NoVerdict
from barasync.engine.gate import Admission
from barasync.engine.job import Job, Session, cgroup_of, container_spec
from barasync.engine.network_hints import network_hint
from barasync.engine.not_begun import ImageGone, NetworkGone, NotBegun
from barasync.engine.phases import Phases
from barasync.engine.place import FreshPlace
from barasync.engine.ports import where
from barasync.engine.reaper import Kind
from barasync.engine.service import ServiceFailed
from barasync.engine.services import OpenLog, Services
from barasync.engine.sweep import Left
from barasync.engine.verdict import Verdict, judge_refused_start
from barasync.errors import BarasyncError, ConfigError
from barasync.matrix.outcome import Outcome, OutputCounts, Status, Usage
from barasync.workspace.destinations import mounted_in, send_copies
from barasync.workspace.live import mount_hint

# Causes that podman gives.
_NO_CONTAINER = "no such container"
_NO_NETWORK = "network not found"


OnStart = Callable[[str, Mapping[str, tuple[str, ...]]], None]
"""Hears of a container whose command runs: its ID, and where its ports are on the host."""


class OutputLog(Sink, Protocol):
    """Where a cell's output goes."""

    @property
    def counts(self) -> OutputCounts:
        """How much was taken so far, and whether all of it is on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of a turn; `error` where the image, the layer or a copy could not be made."""

    outcome: Outcome
    error: BarasyncError | None = None


async def attempt(
    job: Job,
    session: Session,
    log: Sink,
    *,
    phases: Phases,
    open_service_log: OpenLog,
    on_start: OnStart,
    on_release: Callable[[], None],
    keep_manifest: KeepManifest,
    cancellable: Cancellable,
) -> Taken:
    """Run one attempt and say what became of it; its error where a copy changed or has no place.

    `open_service_log` opens the log of a service that runs beside the cell.
    `on_start` is called once the container's command runs, `on_release` when it has
    ended and what is left are its artifacts and its snapshot: the cell takes nothing of the host
    then. When a scope of `cancellable` is cancelled before the end, the outcome is `CANCELLED`,
    without a reason: the caller knows it. Afterwards only artifacts and a snapshot are given up
    that have not come.
    However it ends, the container is killed and removed before this returns, or reported as
    leaked, and its output so far is in `log`, which knows how much that is.

    Raises:
        NotBegun: podman failed before the command began, and the cause may have passed; `ImageGone`
            where there is no image of the job's ID any more, `NetworkGone` where there is none of
            its network's name.
    """
    try:
        spec = await to_thread.run_sync(container_spec, job, session)
    except ConfigError as error:
        return Taken(outcome=_refused(error), error=error)
    place = FreshPlace(
        session.podman,
        spec,
        gates=session.gates,
        cgroup=cgroup_of(job, session),
        phase=phases.measure,
        keeps_overlays=needs_overlay(job.cell.settings),
    )
    under_way = _UnderWay(
        job=job,
        session=session,
        log=log,
        phases=phases,
        on_start=on_start,
        on_release=on_release,
        keep_manifest=keep_manifest,
        cancellable=cancellable,
        place=place,
        services=Services(job, session, open_service_log, phases),
    )
    return await under_way.taken()


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnderWay:
    """An attempt whose container can be made; the fields are as `attempt` says."""

    job: Job
    session: Session
    log: Sink
    phases: Phases
    on_start: OnStart
    on_release: Callable[[], None]
    keep_manifest: KeepManifest
    cancellable: Cancellable
    place: FreshPlace
    services: Services

    async def taken(self) -> Taken:
        """Run it, and make an outcome of whatever comes."""
        place, services = self.place, self.services
        refused: BarasyncError | None = None
        outcome = Outcome(status=Status.CANCELLED, output=OutputCounts(complete=False))
        try:
            ended = await self._ended()
            if ended is not None:
                version = self.session.podman.version
                outcome = outcome_of(ended, self.job, version, place.oom_kills)
        except (PodmanError, TimeoutError) as error:
            not_begun = _not_begun(error, place.container_id)
            if not_begun is not None and place.leaked is None and services.leaked is None:
                raise not_begun from error
            outcome = _infrastructure_error(error, created=place.container_id is not None)
        except BarasyncError as error:
            # Another attempt has other services.
            refused = None if isinstance(error, ServiceFailed) else error
            outcome = _refused(error)
        outcome = replace(
            outcome,
            container_id=place.container_id,
            warnings=(*place.warnings, *services.warnings, *outcome.warnings),
            usage=_usage(place.usage, place.container_id, self.session),
        )
        left = place.leaked or services.leaked
        if left is not None:
            outcome = leaked(outcome, Left(id=left, cell=self.job.cell.id))
        return Taken(outcome=outcome, error=refused)

    async def _ended(self) -> Ended | None:
        """Run the cell, with what is beside and after it; `None` where it was cancelled.

        The memory of the host is waited for before any container is made, of a service too.
        """
        admission = Admission(self.session.gates)
        async with AsyncExitStack() as stack:
            stack.callback(admission.leave)
            await stack.enter_async_context(self.services)
            with self.cancellable() as scope:
                with self.phases.measure("queue"):
                    await admission.wait()
                await self.services.start()
                container = await stack.enter_async_context(self.place)
                await self._fill(container)
                ended = await self._execute(container)
                await self.services.end()
            if scope.cancelled_caught:
                return None
            return await self._aftermath(admission).of(container, ended, self.place.writes)

    async def _fill(self, container: Container) -> None:
        """Put into the container what its image does not have."""
        await self.services.introduce(container)
        if self.session.copies:
            with self.phases.measure("copy"):
                mounted = mounted_in(self.job.cell.settings)
                await send_copies(container, self.session.copies, mounted)

    async def _execute(self, container: Container) -> Ended:
        """Run the container with its network policy in force."""
        async with self.services.enforced() as enforcement:

            async def enforce() -> None:
                await enforcement.apply(container)

            async def started() -> None:
                await enforcement.confirm()
                self.on_start(container.id, where(enforcement.published))

            drain = _drain(container, self.job, self.session, self.log, enforce)
            return await enforcement.settle(await _run(self.job, drain, self.phases, started))

    def _aftermath(self, admission: Admission) -> Aftermath:
        def release() -> None:
            admission.leave()
            self.on_release()

        return Aftermath(
            job=self.job,
            session=self.session,
            phases=self.phases,
            on_release=release,
            keep_manifest=self.keep_manifest,
            cancellable=self.cancellable,
        )


def _refused(error: BarasyncError) -> Outcome:
    return Outcome(status=Status.INFRASTRUCTURE_ERROR, reason=str(error), hint=error.hint)


async def _run(
    job: Job, drain: Drain, phases: Phases, on_start: Callable[[], Awaitable[None]]
) -> Ended:
    """Attach, start, drain, and read the state the container ended in."""
    try:
        async with AsyncExitStack() as stack:
            with phases.measure("start"):
                await drain.start(stack)
            await on_start()
            with phases.measure("run"):
                state = await drain.run()
    except OCIRuntimeError as error:
        verdict = judge_refused_start(f"{error.message} {error.cause}", job.command)
        if verdict is None:
            raise
        return Ended(verdict=verdict)
    except NoVerdict as error:
        return Ended(
            verdict=Verdict(status=Status.INFRASTRUCTURE_ERROR, exit_code=None, reason=str(error)),
            output_problem=drain.problem,
            output_recovered=drain.recovered and drain.problem is None,
        )
    return Ended(
        state=state,
        deadline_hit=drain.deadline_hit,
        terminated=drain.terminated,
        seconds=drain.seconds,
        output_problem=drain.problem,
        output_doubt=drain.doubt,
        output_recovered=drain.recovered and drain.problem is None,
    )


def _drain(
    container: Container,
    job: Job,
    session: Session,
    log: Sink,
    before_start: Callable[[], Awaitable[None]],
) -> Drain:
    settings = job.cell.settings
    return Drain(
        session.podman,
        container,
        log,
        timeout=settings.timeout,
        grace=settings.stop_grace,
        gate=session.gates.start,
        hurry=session.hurry,
        before_start=before_start,
    )


def _usage(read: Usage, container_id: str | None, session: Session) -> Usage:
    """Return what the cell's cgroup told, else what was sampled."""
    if read.exact or session.sampler is None or container_id is None:
        return read
    return session.sampler.usage(container_id)


def _not_begun(error: Exception, container_id: str | None) -> NotBegun | None:
    """Return what to raise for a failure that may have passed; a start may have had its effect."""
    early = "/containers/create" if container_id is None else f"/{container_id}/attach"
    if isinstance(error, NotFound):
        if error.cause == _NO_NETWORK and (container_id is None or error.path.endswith(early)):
            return NetworkGone(str(error))
        return ImageGone(str(error)) if container_id is None else None
    if isinstance(error, DatabaseError) and error.path.endswith(early):
        return NotBegun(str(error))
    return None


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
        hint = mount_hint(reason) or network_hint(reason)
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
