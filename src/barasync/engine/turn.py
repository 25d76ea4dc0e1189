"""A cell's turn: its image, its layer, and an attempt in a container of its own, recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import anyio
from anyio import to_thread

from barasync.aiopodman import HealthCheck, Mount
from barasync.artifacts.collect import Collection
from barasync.artifacts.place import Place
from barasync.config.schema import CellSettings, WorkspaceMode
from barasync.config.services import Service
from barasync.engine.aftermath import with_snapshot
from barasync.engine.attempt import Attempt, OutputLog, Taken
from barasync.engine.caches import Caches
from barasync.engine.collection import Cancellable
from barasync.engine.detached import health_check_of
from barasync.engine.dialogue import told_of_terminal
from barasync.engine.drain import Sink
from barasync.engine.first_words import FirstWords, with_bash_missed
from barasync.engine.images import ImageSource
from barasync.engine.job import Job, Session, image_of_ended
from barasync.engine.masking import masked_error, masked_outcome, masked_sink
from barasync.engine.network_hints import RESOLVER_IS_LATE
from barasync.engine.networks import CellNetwork, Networks
from barasync.engine.not_begun import ImageGone, NetworkGone, NotBegun, ResolverLate
from barasync.engine.once import Once
from barasync.engine.phases import Phases
from barasync.engine.ports import require_ports
from barasync.errors import BarasyncError
from barasync.events import AnyEvent, ContainerStarted, ImageProgress
from barasync.images.failures import WrongPlatform
from barasync.images.programs import Programs
from barasync.matrix.cells import Cell
from barasync.matrix.command import BAR, environment, expand
from barasync.matrix.outcome import Outcome, Status
from barasync.matrix.plan import Plan
from barasync.matrix.platforms import Platform

_MOST_TRIES = 2
_MOST_TRIES_FOR_A_RESOLVER = 3
# Until the process that failed is reaped podman takes it for one that answers, and starts no other:
# 1.8 s where the init of a host looks for its dead now and then.
_RESOLVER_PAUSE_SECONDS = 2.0


class Recorder(Protocol):
    """Where a run's events, output and artifacts go; made by whoever started the run."""

    def emit(self, event: AnyEvent) -> None:
        """Take an event without waiting."""

    def open_log(self, cell: str, number: int) -> AbstractAsyncContextManager[OutputLog]:
        """Open the log files of an attempt."""

    def open_service_log(
        self, cell: str, number: int, service: str
    ) -> AbstractAsyncContextManager[Sink]:
        """Open the log file of a service of an attempt."""

    def artifacts(self, cell: str, number: int) -> Place:
        """Return the place for the artifacts of an attempt; it need not exist."""

    async def keep_manifest(self, cell: str, number: int, collection: Collection) -> str | None:
        """Write down what was collected of an attempt; return where, `None` if it cannot be."""

    async def remove_stale(self, cell: str, number: int) -> None:
        """Remove the artifacts of earlier attempts that this one, which has ended, has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How the things that cells share are made; what fails raises `BarasyncError`.

    `images` are the images of cells; `workspace` puts the project's files on top of one, whose ID
    it is given. `has_bar` tells whether what such a cell has in `/workspace` brings a `bar` of its
    own. `caches` keeps the caches of a cell while it runs. `programs` knows those of images.
    `native` is the platform of the host on which cells run.
    """

    images: ImageSource
    native: Platform
    workspace: Callable[[str, Platform], Awaitable[str]]
    caches: Caches
    programs: Programs
    has_bar: Callable[[CellSettings], bool]


@dataclass(frozen=True, slots=True)
class _Made:
    """The ID of a cell's image, and of what it runs in: a layer on top, or the image itself.

    `services` are the IDs of the images of its services, in their order.
    """

    base: str
    image: str
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What belongs to one turn, as `Turns.take` says."""

    cell: Cell
    number: int
    cancellable: Cancellable
    phases: Phases
    on_release: Callable[[], None]


class Turns:
    """Takes the cells of a plan through their turns; what they share is made once."""

    def __init__(
        self,
        plan: Plan,
        session: Session,
        preparation: Preparation,
        recorder: Recorder,
        *,
        networks: Networks,
        wall_clock: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._session = session
        self._preparation = preparation
        self._recorder = recorder
        self._networks = networks
        self._now = wall_clock
        self._images = preparation.images
        self._layers: Once[tuple[str, Platform], str] = Once(
            lambda key: preparation.workspace(*key)
        )

    async def take(
        self,
        cell: Cell,
        number: int,
        cancellable: Cancellable,
        phases: Phases,
        on_release: Callable[[], None],
    ) -> Taken:
        """Run one attempt of a cell, with what it needs made first.

        Where podman failed before the command began, and not for good, the attempt is made once
        more, and twice, after pauses, where the resolver of its network could not be started yet:
        one of these uses nothing up of the other.
        Where the image was removed meanwhile it is made again for that: a layer whose maker is dead
        goes with `barasync clean`, whoever else is about to use it. So is the network, which nobody
        uses between two cells, and `podman network prune` removes.

        When a scope of `cancellable` is cancelled the outcome is `CANCELLED`, without a reason; as
        `Attempt` says, nothing is left then. The phases are added to `phases`. `on_release` is
        called at most once, when all that is left to do is to collect artifacts and to clear up.
        """
        masker = self._session.masker
        turn = _Turn(
            cell=cell, number=number, cancellable=cancellable, phases=phases, on_release=on_release
        )
        taken = await self._take_again(turn)
        error = None if taken.error is None else masked_error(taken.error, masker)
        snapshot, keeps_failed = image_of_ended(self._session, cell.id)
        outcome = with_snapshot(taken.outcome, snapshot, keeps_failed=keeps_failed)
        return Taken(outcome=masked_outcome(outcome, masker), error=error)

    async def _take_again(self, turn: _Turn) -> Taken:
        tries = late = 0
        while True:
            try:
                return await self._take(turn)
            except ResolverLate as error:
                late += 1
                if late >= _MOST_TRIES_FOR_A_RESOLVER:
                    return Taken(outcome=_not_begun(error, hint=RESOLVER_IS_LATE))
            except NotBegun as error:
                tries += 1
                if tries >= _MOST_TRIES:
                    return Taken(outcome=_not_begun(error))
                continue
            with turn.cancellable() as scope:
                await anyio.sleep(_RESOLVER_PAUSE_SECONDS)
            if scope.cancelled_caught:
                return Taken(outcome=Outcome(status=Status.CANCELLED))

    async def _take(self, turn: _Turn) -> Taken:
        async with AsyncExitStack() as stack:
            try:
                with turn.cancellable() as scope:
                    made = await self._made(turn.cell, turn.phases)
                    network = await self._network(turn.cell, turn.phases)
                    caches = await self._hold_caches(turn.cell, made, stack, turn.phases)
                    health_check = await self._health_check(turn.cell, made)
                    variables = await self._environment(turn.cell, made)
                    plan = await self._plan_for(turn.cell, made, turn.phases)
            except BarasyncError as error:
                return Taken(outcome=_not_prepared(error), error=error)
            if scope.cancelled_caught:
                return Taken(outcome=Outcome(status=Status.CANCELLED))
            job = replace(
                self._job(turn, plan, made.image, variables),
                network=network,
                caches=caches,
                health_check=health_check,
                services=tuple(zip(turn.cell.settings.services, made.services, strict=True)),
            )
            return await self._attempt(turn, made, job)

    async def _attempt(self, turn: _Turn, made: _Made, job: Job) -> Taken:
        cell = turn.cell
        async with (
            self._recorder.open_log(cell.id, turn.number) as log,
            masked_sink(log, self._session.masker) as sink,
        ):
            words = FirstWords(sink)
            try:
                taken = await Attempt(
                    job=job,
                    session=self._session,
                    log=words,
                    phases=turn.phases,
                    open_service_log=partial(self._recorder.open_service_log, cell.id, turn.number),
                    on_start=partial(self._announce, job),
                    on_release=turn.on_release,
                    keep_manifest=partial(self._recorder.keep_manifest, cell.id, turn.number),
                    cancellable=turn.cancellable,
                ).run()
            except ImageGone:
                self._forget(cell, made)
                raise
            except NetworkGone:
                if cell.policy is not None:
                    self._networks.forget(cell.policy, job.network)
                raise
        # Only a closed log knows whether all of it reached the disk.
        counts = log.counts
        complete = counts.complete and taken.outcome.output.complete
        output = replace(counts, complete=complete)
        outcome = with_bash_missed(taken.outcome, job, words.all)
        return replace(taken, outcome=replace(outcome, output=output))

    async def _made(self, cell: Cell, phases: Phases) -> _Made:
        with phases.measure("image"):
            base = await self._images.get((cell.settings.image, cell.platform))
            services = tuple(
                [
                    await self._images.get(self._image_of(service, cell))
                    for service in cell.settings.services
                ]
            )
        if cell.settings.workspace is not WorkspaceMode.LAYER:
            return _Made(base, base, services)
        with phases.measure("workspace"):
            return _Made(base, await self._layers.get((base, cell.platform)), services)

    def _image_of(self, service: Service, cell: Cell) -> tuple[str, Platform]:
        return service.image, self._preparation.native if service.native else cell.platform

    async def _network(self, cell: Cell, phases: Phases) -> CellNetwork:
        if cell.policy is None:
            return CellNetwork()
        with phases.measure("network"):
            await to_thread.run_sync(require_ports, (cell.policy,))
            return await self._networks.get(cell.policy)

    async def _hold_caches(
        self, cell: Cell, made: _Made, stack: AsyncExitStack, phases: Phases
    ) -> tuple[Mount, ...]:
        """Keep the caches of a cell, if it has any, until `stack` is closed."""
        if not cell.settings.caches:
            return ()

        def tell(message: str) -> None:
            self._recorder.emit(
                ImageProgress(
                    at=self._now(),
                    image=cell.settings.image,
                    platform=str(cell.platform),
                    message=f"cell {cell.id} {message}",
                )
            )

        with phases.measure("cache"):
            held = self._preparation.caches.held(cell, made.image, tell=tell)
            try:
                return await stack.enter_async_context(held)
            except ImageGone:
                self._forget(cell, made)
                raise

    async def _health_check(self, cell: Cell, made: _Made) -> HealthCheck | None:
        """Return what is to take the place of the health check of the image, if anything is."""
        session = self._session
        if session.detachment is None:
            return None
        image = cell.settings.image
        return await health_check_of(session.detachment, session.podman, made.base, image)

    async def _environment(self, cell: Cell, made: _Made) -> Mapping[str, str]:
        session = self._session
        variables = {**environment(cell, run=session.run), **cell.settings.env}
        if session.dialogue is None:
            return variables
        return await told_of_terminal(session.dialogue, session.podman, made.image, variables)

    def _forget(self, cell: Cell, made: _Made) -> None:
        """Have all made anew: what is below a layer that is gone may be gone as well."""
        self._layers.forget((made.base, cell.platform), made.image)
        self._images.forget((cell.settings.image, cell.platform), made.base)
        for service, image in zip(cell.settings.services, made.services, strict=True):
            self._images.forget(self._image_of(service, cell), image)

    async def _plan_for(self, cell: Cell, made: _Made, phases: Phases) -> Plan:
        """Return the plan by which a cell runs: the other one where its rule is a command."""
        plan = self._plan
        if plan.as_command is None:
            return plan
        runs_rules = bool(cell.settings.command) or self._preparation.has_bar(cell.settings)
        names = (plan.rule,) if runs_rules else (plan.rule, BAR)
        path = cell.settings.env.get("PATH")
        with phases.measure("image"):
            found = await self._preparation.programs.find(made.base, names, path=path)
        is_rule = plan.rule not in found and (runs_rules or BAR in found)
        return plan if is_rule else plan.as_command

    def _job(self, turn: _Turn, plan: Plan, image: str, variables: Mapping[str, str]) -> Job:
        cell, number = turn.cell, turn.number
        if plan is not self._plan:
            # What belongs to rules is not collected of a command.
            (cell,) = plan.cells
        has_bar = not cell.settings.command and self._preparation.has_bar(cell.settings)
        snapshot, keeps_failed = image_of_ended(self._session, cell.id)
        return Job(
            cell=cell,
            number=number,
            image=image,
            command=expand(cell, rule=plan.rule, args=plan.args, has_bar=has_bar),
            environment=variables,
            artifacts=self._recorder.artifacts(cell.id, number),
            snapshot=snapshot,
            keeps_failed=keeps_failed,
        )

    def _announce(self, job: Job, container: str, ports: Mapping[str, tuple[str, ...]]) -> None:
        self._recorder.emit(
            ContainerStarted(
                at=self._now(),
                cell=job.cell.id,
                attempt=job.number,
                container=container,
                image=job.image,
                ports=ports,
            )
        )


def _not_begun(error: NotBegun, *, hint: str | None = None) -> Outcome:
    return Outcome(status=Status.INFRASTRUCTURE_ERROR, reason=f"podman: {error}", hint=hint)


def _not_prepared(error: BarasyncError) -> Outcome:
    wrong = isinstance(error, WrongPlatform)
    status = Status.WRONG_PLATFORM if wrong else Status.INFRASTRUCTURE_ERROR
    return Outcome(status=status, reason=str(error), hint=error.hint)
