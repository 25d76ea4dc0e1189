"""The artifacts of an attempt: whether they are wanted, and how they are to be had."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from dataclasses import replace

from anyio import CancelScope

from barasync.aiopodman import Container, ContainerInspect, PathStat, PodmanError
from barasync.artifacts.collect import Collection, collect
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledgers
from barasync.artifacts.mounts import Mounts, mounts_of
from barasync.artifacts.place import Place
from barasync.artifacts.receiver import Archived
from barasync.artifacts.sources import is_below
from barasync.config.schema import WORKSPACE, ArtifactsOn, CellSettings, WorkspaceMode
from barasync.engine.overlays import OverlayWrites

_SERVER_GRACE_SECONDS = 60.0


Cancellable = Callable[[], AbstractContextManager[CancelScope]]
"""Opens a scope that whoever runs the attempt may cancel."""


def is_wanted(settings: CellSettings, *, passed: bool) -> bool:
    """Whether artifacts are collected of a cell that passed, or did not."""
    if not settings.artifacts or settings.artifacts_on is ArtifactsOn.ALWAYS:
        return bool(settings.artifacts)
    return passed is (settings.artifacts_on is ArtifactsOn.PASSED)


def needs_overlay(settings: CellSettings) -> bool:
    """Whether an artifact may lie in a workspace that is gone with the container's process.

    Any may: it is a link perhaps, which the command makes.
    """
    return bool(settings.artifacts) and settings.workspace is WorkspaceMode.OVERLAY


async def collect_artifacts(
    container: Container,
    state: ContainerInspect,
    settings: CellSettings,
    destination: Place,
    writes: OverlayWrites | None,
    *,
    cancellable: Cancellable,
    ledgers: Ledgers,
) -> Collection:
    """Collect the artifacts of a container that has ended, in `state`.

    The manifests can be read while `ledgers` are open. With `writes` what the container wrote to
    its overlays is shown by another one meanwhile. What has not come when a scope of `cancellable`
    is cancelled is a problem, the rest stays.
    """
    limits = Limits(
        bytes=settings.artifacts_size,
        members=settings.artifacts_files,
        seconds=settings.artifacts_timeout,
    )
    mounts = mounts_of(state, workspace=WORKSPACE)
    source: Archived = container
    async with AsyncExitStack() as stack:
        if writes is not None:
            with cancellable():
                seconds = limits.seconds + _SERVER_GRACE_SECONDS
                source, mounts = await _with_overlays(container, mounts, writes, stack, seconds)
        return await collect(
            source,
            settings.artifacts,
            destination,
            limits,
            ledgers,
            workspace=WORKSPACE,
            mounts=mounts,
            cancellable=cancellable,
        )


async def _with_overlays(
    container: Container,
    mounts: Mounts,
    writes: OverlayWrites,
    stack: AsyncExitStack,
    seconds: float,
) -> tuple[Archived, Mounts]:
    """Have the overlays of a container shown until `stack` is closed, for so long at most."""
    overlays = tuple(overlay.destination for overlay in writes.spec.overlays)
    try:
        shown = await stack.enter_async_context(writes.shown(seconds))
    except (PodmanError, TimeoutError) as error:
        return container, _not_shown(mounts, overlays, error)
    return _Views(container, shown, overlays), mounts.without(overlays)


def _not_shown(mounts: Mounts, overlays: tuple[str, ...], error: Exception) -> Mounts:
    reason = (
        f"is on an overlay, which another container of the same image was to show: {error}; "
        "`--workspace layer` needs none"
    )
    return replace(mounts, lost={**mounts.lost, **dict.fromkeys(overlays, reason)})


class _Views:
    """A container that has ended, and another one that shows its overlays."""

    def __init__(self, container: Container, shown: Container, overlays: tuple[str, ...]) -> None:
        self._container = container
        self._shown = shown
        self._overlays = overlays

    def archive(self, path: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Return the archive of a path, of the container that has it."""
        return self._holder(path).archive(path)

    async def stat(self, path: str) -> PathStat | None:
        """Look at a path, in the container that has it."""
        return await self._holder(path).stat(path)

    def _holder(self, path: str) -> Container:
        overlaid = any(path == place or is_below(path, place) for place in self._overlays)
        return self._shown if overlaid else self._container
