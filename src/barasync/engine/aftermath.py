"""What is done with the container of an attempt that has ended, before it goes.

Its artifacts are collected and its snapshot is taken, in a queue of their own: the cell takes
nothing of the host any more, and other cells run meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from barasync.aiopodman import Container, Reference
from barasync.artifacts.collect import Collection
from barasync.artifacts.ledger import Ledgers
from barasync.engine.collection import Cancellable, collect_artifacts, is_wanted
from barasync.engine.ended import Ended, is_surely_retried, outcome_of
from barasync.engine.job import Job, Session
from barasync.engine.overlays import OverlayWrites
from barasync.engine.phases import Phases
from barasync.errors import BarasyncError
from barasync.images.ours import KEPT
from barasync.images.snapshot import SNAPSHOT, is_large, take_snapshot
from barasync.matrix.kept import KeptSettings
from barasync.matrix.outcome import Outcome, Snapshot, Status

NOT_THE_LAST = "none is taken of an attempt that another one is to follow"

KeepManifest = Callable[[Collection], Awaitable[str | None]]
"""Writes down what was collected and says where; `None` if that cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What follows the end of an attempt's container.

    `on_release` is called once the cell's turn for it is sure to come, `keep_manifest` as soon as
    artifacts were collected. When a scope of `cancellable` is cancelled, what has not come is given
    up, and said.
    """

    job: Job
    session: Session
    phases: Phases
    on_release: Callable[[], None]
    keep_manifest: KeepManifest
    cancellable: Cancellable

    async def of(self, container: Container, ended: Ended, writes: OverlayWrites | None) -> Ended:
        """Collect artifacts and take a snapshot, as far as they are wanted; say what came."""
        collects = ended.state is not None and is_wanted(
            self.job.cell.settings, passed=ended.passed
        )
        if not collects and not self._is_pictured(ended):
            return self._without_snapshot(ended)
        async with AsyncExitStack() as stack:
            with self.phases.measure("collect" if collects else "snapshot"), self.cancellable():
                queue = self.session.gates.collecting(self.on_release)
                await stack.enter_async_context(queue)
            if collects:
                with self.phases.measure("collect"):
                    ended = await self._collect(container, ended, writes)
            if self._is_pictured(ended):
                with self.phases.measure("snapshot"):
                    ended = await self._picture(container, ended)
        return self._without_snapshot(ended)

    async def _collect(
        self, container: Container, ended: Ended, writes: OverlayWrites | None
    ) -> Ended:
        assert ended.state is not None, "nothing is collected of a container without a state"
        with Ledgers() as ledgers:
            collection = await collect_artifacts(
                container,
                ended.state,
                self.job.cell.settings,
                self.job.artifacts,
                writes,
                cancellable=self.cancellable,
                ledgers=ledgers,
            )
            manifest = await self.keep_manifest(collection)
        return replace(ended, collected=collection.artifacts, manifest=manifest)

    def _is_pictured(self, ended: Ended) -> bool:
        """Whether a snapshot is wanted, and can be had: of the last attempt only."""
        if not self._is_wanted(ended):
            return False
        return not is_surely_retried(ended, self.job, self.session.podman.version)

    def _is_wanted(self, ended: Ended) -> bool:
        """Whether there is to be an image of a container that has ended, as far as is known."""
        if self.job.snapshot is None or not ended.is_over:
            return False
        if not self.job.keeps_failed:
            return True
        return not outcome_of(ended, self.job, self.session.podman.version, None).passed

    async def _picture(self, container: Container, ended: Ended) -> Ended:
        """Take the snapshot; of a large container while the run asks podman for no other one."""
        name = self.job.snapshot
        assert name is not None, "a snapshot is taken where one was asked for"
        kept = self.job.keeps_failed
        snapshot = Snapshot(
            name=str(name), kept=kept, problem="it had not been taken when the run was stopped"
        )
        notes: tuple[str, ...] = ()
        with self.cancellable():
            large = await is_large(container)
            async with self.session.gates.committing(alone=large):
                try:
                    made = await take_snapshot(
                        self.session.podman, container, name, kind=KEPT if kept else SNAPSHOT
                    )
                except BarasyncError as error:
                    snapshot = replace(snapshot, problem=str(error))
                else:
                    snapshot = replace(
                        snapshot,
                        image=made.id,
                        bytes=made.size,
                        problem=None,
                        settings=KeptSettings.of(self.job.cell.settings, self.job.services),
                    )
                    if made.mounted:
                        notes = (_missing(made.mounted, kept=kept),)
        return replace(ended, snapshot=snapshot, notes=(*ended.notes, *notes))

    def _without_snapshot(self, ended: Ended) -> Ended:
        """Say why there is none where one was to be, and the end of the attempt is known."""
        if ended.snapshot is not None or not self._is_wanted(ended):
            return ended
        snapshot = Snapshot(
            name=str(self.job.snapshot), kept=self.job.keeps_failed, problem=NOT_THE_LAST
        )
        return replace(ended, snapshot=snapshot)


def with_snapshot(
    outcome: Outcome, name: Reference | None, *, keeps_failed: bool = False
) -> Outcome:
    """Say that there is no snapshot where one was to be, of a cell that did not come so far.

    With `keeps_failed` one that passed, or was cancelled, was to leave none.
    """
    if name is None or outcome.snapshot is not None:
        return outcome
    cancelled = outcome.status is Status.CANCELLED
    if keeps_failed and (cancelled or outcome.passed):
        return outcome
    problem = "the cell was cancelled" if cancelled else "no container of it came to an end"
    snapshot = Snapshot(name=str(name), kept=keeps_failed, problem=problem)
    return replace(outcome, snapshot=snapshot)


def _missing(mounted: Sequence[str], *, kept: bool) -> str:
    image = "the image that is kept of it" if kept else "its snapshot"
    return f"{image} is without what was mounted at {', '.join(mounted)}"
