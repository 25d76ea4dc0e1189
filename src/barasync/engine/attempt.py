"""One attempt of a cell: create, copy, start attached, drain, inspect, collect, picture, remove.

The order never lost output in thousands of measured runs (`docs/podman.md`). A cell that does not
pass is data; every podman error becomes an `Outcome` in `_of_podman`, nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from anyio import to_thread

from barasync.aiopodman import Container, DatabaseError, NotFound, PodmanError, ResolverFailed
from barasync.engine.aftermath import Aftermath, KeepManifest
from barasync.engine.collection import Cancellable, needs_overlay
from barasync.engine.drain import Sink
from barasync.engine.ended import Ended, outcome_of
from barasync.engine.execution import OnStart, execute
from barasync.engine.gate import Admission
from barasync.engine.job import Job, Session, cgroup_of, container_spec
from barasync.engine.network_hints import network_hint
from barasync.engine.not_begun import ImageGone, NetworkGone, NotBegun, ResolverLate
from barasync.engine.phases import Phases
from barasync.engine.place import FreshPlace
from barasync.engine.reaper import Kind
from barasync.engine.service import ServiceFailed
from barasync.engine.services import OpenLog, Services, services_beside
from barasync.engine.starting_alone import start_alone
from barasync.engine.starts_once import Mark, mark_of
from barasync.engine.sweep import Left
from barasync.errors import BarasyncError, ConfigError, EngineUnavailable
from barasync.matrix.outcome import Outcome, OutputCounts, Status, Usage
from barasync.networks.namespace import NamespaceError
from barasync.workspace.destinations import mounted_in, send_copies
from barasync.workspace.live import mount_hint, workdir_hint

# Causes that podman gives.
_NO_CONTAINER = "no such container"
_NO_NETWORK = "network not found"


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


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One attempt of a cell; `run` it once.

    `open_service_log` opens the log of a service that runs beside the cell.
    `on_start` is called once the container's command runs, `on_release` when it has
    ended and what is left are its artifacts and its snapshot: the cell takes nothing of the host
    then. When a scope of `cancellable` is cancelled before the end, the outcome is `CANCELLED`,
    without a reason: the caller knows it. Afterwards only artifacts and a snapshot are given up
    that have not come.

    `services` are those beside the cell, where it has some, and `detached` is the name under which
    its container goes on, where it does; one that may has a `mark`.
    """

    job: Job
    session: Session
    log: Sink
    phases: Phases
    open_service_log: OpenLog
    on_start: OnStart
    on_release: Callable[[], None]
    keep_manifest: KeepManifest
    cancellable: Cancellable
    services: Services | None = None
    detached: str | None = None
    mark: Mark | None = None

    async def run(self) -> Taken:
        """Say what became of it; its error where a copy changed or has no place.

        However it ends, the container is killed and removed before this returns, or reported as
        leaked, and its output so far is in `log`, which knows how much that is.

        Raises:
            NotBegun: podman failed before the command began, and the cause may have passed;
                `ImageGone` where there is no image of the job's ID any more, `NetworkGone` where
                there is none of its network's name, `ResolverLate` where that has no resolver yet.
        """
        self.mark = mark_of(self.job, self.session)
        try:
            return await self._made()
        finally:
            self._unmark()

    async def _made(self) -> Taken:
        job, session = self.job, self.session
        try:
            spec = await to_thread.run_sync(container_spec, job, session)
            if self.mark is not None:
                spec = await to_thread.run_sync(self.mark.make, spec)
        except (ConfigError, NamespaceError) as error:
            return Taken(outcome=_refused(error), error=error)
        place = FreshPlace(
            session.podman,
            spec,
            gates=session.gates,
            cgroup=cgroup_of(job, session),
            phase=self.phases.measure,
            keeps_overlays=needs_overlay(job.cell.settings),
        )
        taken = await self._taken(place)
        outcome = replace(
            taken.outcome,
            container_id=place.container_id,
            warnings=(*self._warnings(place), *taken.outcome.warnings),
            usage=_usage(place.usage, place.container_id, session),
            detached=self.detached,
        )
        left = self._leaked(place)
        if left is not None:
            outcome = leaked(outcome, Left(id=left, cell=job.cell.id))
        return replace(taken, outcome=outcome)

    async def _taken(self, place: FreshPlace) -> Taken:
        """Make an outcome of whatever comes."""
        try:
            ended = await self._ended(place)
        except (PodmanError, TimeoutError) as error:
            not_begun = _not_begun(error, place.container_id)
            if not_begun is not None and self._leaked(place) is None:
                raise not_begun from error
            return _of_podman(error, place.container_id)
        except ServiceFailed as error:
            # Another attempt has other services.
            return Taken(outcome=_refused(error))
        except BarasyncError as error:
            return Taken(outcome=_refused(error), error=error)
        if ended is None:
            cancelled = OutputCounts(complete=False)
            return Taken(outcome=Outcome(status=Status.CANCELLED, output=cancelled))
        version = self.session.podman.version
        return Taken(outcome=outcome_of(ended, self.job, version, place.oom_kills))

    def _unmark(self) -> None:
        if self.mark is not None:
            self.mark.remove()

    def _started(self, container_id: str, published: Mapping[str, tuple[str, ...]]) -> None:
        self._unmark()
        self.on_start(container_id, published)

    def _leaked(self, place: FreshPlace) -> str | None:
        beside = None if self.services is None else self.services.leaked
        return place.leaked or beside

    def _warnings(self, place: FreshPlace) -> tuple[str, ...]:
        beside = () if self.services is None else self.services.warnings
        return (*place.warnings, *beside)

    async def _ended(self, place: FreshPlace) -> Ended | None:
        """Run the cell, with what is beside and after it; `None` where it was cancelled.

        The memory of the host is waited for before any container is made, of a service too.
        """
        admission = Admission(self.session.gates)
        async with AsyncExitStack() as stack:
            stack.callback(admission.leave)
            if self.job.services:
                self.services = await stack.enter_async_context(self._beside())
            with self.cancellable() as scope:
                with self.phases.measure("queue"):
                    await admission.wait()
                if self.services is not None:
                    await self.services.start()
                container = await stack.enter_async_context(place)
                await self._fill(container)
                ended = await self._execute(container)
                if self.services is not None:
                    await self.services.end()
            if scope.cancelled_caught:
                return None
            if ended.detached:
                self.detached = await place.let_go()
                return ended
            return await self._aftermath(admission).of(container, ended, place.writes)

    def _beside(self) -> AbstractAsyncContextManager[Services]:
        return services_beside(self.job, self.session, self.open_service_log, self.phases)

    async def _fill(self, container: Container) -> None:
        """Put into the container what its image does not have."""
        if self.services is not None:
            await self.services.introduce(container)
        if self.session.copies:
            with self.phases.measure("copy"):
                mounted = mounted_in(self.job.cell.settings)
                await send_copies(container, self.session.copies, mounted)

    async def _execute(self, container: Container) -> Ended:
        if self.session.detachment is not None:
            return await start_alone(
                container,
                self.job,
                self.session,
                self.session.detachment,
                phases=self.phases,
                on_start=self._started,
            )
        joins = None if self.services is None else self.services.rules
        return await execute(
            container,
            self.job,
            self.session,
            self.log,
            phases=self.phases,
            on_start=self._started,
            joins=joins,
        )

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


def _usage(read: Usage, container_id: str | None, session: Session) -> Usage:
    """Return what the cell's cgroup told, else what was sampled."""
    if read.exact or session.sampler is None or container_id is None:
        return read
    return session.sampler.usage(container_id)


def _not_begun(error: Exception, container_id: str | None) -> NotBegun | None:
    """Return what to raise for a failure that may have passed; a start may have had its effect."""
    if isinstance(error, ResolverFailed) and error.path.endswith(("/attach", "/init")):
        # Of the cell, or of what owns its namespace. A start may be that of one that has ended.
        return ResolverLate(str(error))
    early = "/containers/create" if container_id is None else f"/{container_id}/attach"
    if isinstance(error, NotFound):
        if error.cause == _NO_NETWORK and (container_id is None or error.path.endswith(early)):
            return NetworkGone(str(error))
        return ImageGone(str(error)) if container_id is None else None
    if isinstance(error, DatabaseError) and error.path.endswith(early):
        return NotBegun(str(error))
    return None


def _of_podman(error: Exception, container_id: str | None) -> Taken:
    """Say that podman, not the cell, failed; there was a container if it has an ID.

    Where it cannot set up networks, another attempt or cell does no better.
    """
    hint = lacking = None
    if isinstance(error, TimeoutError):
        late = "create the container" if container_id is None else "bring the container to an end"
        reason = str(error) or f"podman did not {late} in time"
    elif isinstance(error, NotFound) and error.cause == _NO_CONTAINER:
        reason = "its container was removed while it ran, and not by this run"
        hint = "does something else clean up on this service, with `podman rm --force` say?"
    else:
        reason = f"podman: {error}"
        lacking = network_hint(reason)
        hint = mount_hint(reason) or workdir_hint(reason) or lacking
    outcome = Outcome(
        status=Status.INFRASTRUCTURE_ERROR,
        reason=reason,
        hint=hint,
        output=OutputCounts(complete=False),
    )
    unavailable = None if lacking is None else EngineUnavailable(reason, hint=lacking)
    return Taken(outcome=outcome, error=unavailable)


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
