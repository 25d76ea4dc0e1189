"""Where an attempt runs: a container of its own, made for it and proven gone afterwards.

A warm place (a kept container that takes one job after another) has the same shape; an attempt does
not know which it got.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType

import anyio
from anyio import CancelScope, to_thread

from barasync.aiopodman import (
    Container,
    ContainerSpec,
    Podman,
    create_shielded,
    remove_shielded,
)
from barasync.engine.detached import detached_name
from barasync.engine.gate import Gates
from barasync.engine.oom import LimitNotices
from barasync.engine.overlays import OverlayWrites
from barasync.engine.usage import CellCgroup, Reading
from barasync.matrix.outcome import Usage

SERVER_GRACE_SECONDS = 30.0
"""How long after our own deadline podman kills a container by itself."""

_RENAME_SECONDS = 30.0

Phase = Callable[[str], AbstractContextManager[None]]
"""Measures the block it opens under the given name."""


class FreshPlace:
    """One container for one attempt.

    Entering creates it. Leaving kills and removes it, then reads what it consumed and removes its
    cgroup. Both are shielded from cancellation and bounded in time.

    After entering, `container_id` is its ID and `warnings` are podman's, about limits that it
    ignores for example. After leaving, `usage` and `oom_kills` hold what its cgroup told (see
    `Reading`), and `leaked` the container's ID if podman would not confirm that it is gone. With
    `keeps_overlays`, `writes` has what the container wrote to its overlays, from entering until it
    is left. A container that was `let_go` stays when it is left, and nothing is read of it.

    Raises:
        PodmanError, TimeoutError: the container could not be created.
    """

    def __init__(
        self,
        podman: Podman,
        spec: ContainerSpec,
        *,
        gates: Gates,
        cgroup: CellCgroup | None,
        phase: Phase,
        keeps_overlays: bool = False,
    ) -> None:
        self.usage = Usage()
        self.oom_kills: int | None = None
        self.leaked: str | None = None
        self.container_id: str | None = None
        self.warnings: tuple[str, ...] = ()
        self._podman = podman
        self._gates = gates
        self._spec = spec
        self._cgroup = cgroup
        self._phase = phase
        self._notices: LimitNotices | None = None
        self._container: Container | None = None
        self._goes_on = False
        self.writes = OverlayWrites(podman, spec, gates) if keeps_overlays else None

    async def __aenter__(self) -> Container:
        container = self._container = await self._create()
        self.container_id = container.id
        self.warnings = tuple(f"podman: {warning}" for warning in container.warnings)
        return container

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._container is not None, "__aexit__ runs only after __aenter__ succeeded"
        if self._goes_on:
            # Its limit is that of its cgroup, which the kernel keeps.
            if self._notices is not None:
                self._notices.close()
            return
        with self._phase("remove"):
            await self._remove(self._container)

    async def let_go(self) -> str:
        """Have the container outlive its command: rename it, and leave it alone; return its name.

        Shielded from cancellation: once it has the name, whoever cleans up leaves it alone as well.

        Raises:
            PodmanError, TimeoutError: it has not got the name, so that it is removed as ever.
        """
        assert self._container is not None, "it is let go after __aenter__"
        assert self._spec.name is not None, "the container of an attempt has a name"
        name = detached_name(self._spec.name)
        with anyio.fail_after(_RENAME_SECONDS, shield=True):
            await self._container.rename(name)
            self._goes_on = True
        return name

    async def _create(self) -> Container:
        with self._phase("create"):
            if self._cgroup is not None:
                limit = self._cgroup.limit
                self._notices = await to_thread.run_sync(limit, self._spec.memory_bytes)
            try:
                if self.writes is not None:
                    await self.writes.make()
                    self._spec = self.writes.spec
                async with self._gates.create.passed():
                    return await create_shielded(self._podman.containers, self._spec)
            except BaseException:
                if self.writes is not None:
                    await self.writes.remove()
                await self._settle(gone=True)
                raise

    async def _remove(self, container: Container) -> None:
        # Whoever waits here waits for removals that are bounded in time.
        with CancelScope(shield=True):
            async with self._gates.remove.passed():
                gone = await remove_shielded(container)
        self.leaked = None if gone else container.id
        if self.writes is not None:
            self.leaked = self.leaked or self.writes.leaked
            if self.leaked is None:
                await self.writes.remove()
        reading = await self._settle(gone=gone)
        self.usage, self.oom_kills = reading.usage, reading.oom_kills

    async def _settle(self, *, gone: bool) -> Reading:
        """Read what the cgroup tells, and remove it; it may still be in use if nothing is gone."""
        if self._cgroup is None:
            return Reading()
        settled = partial(_settled, self._cgroup, self._notices, gone=gone)
        with CancelScope(shield=True):
            reading = await to_thread.run_sync(settled)
        return reading  # noqa: RET504 - in the block, mypy takes it for one that may not return


def _settled(cgroup: CellCgroup, notices: LimitNotices | None, *, gone: bool) -> Reading:
    reading = cgroup.read(notices) if gone else Reading()
    if notices is not None:
        notices.close()
    if gone:
        cgroup.remove()
    return reading


def server_timeout(timeout: float | None, grace: float) -> int | None:
    """Return the whole seconds after which podman itself kills the container.

    It is the dead man's switch for a run that was killed, never the cell's real deadline: `timeout`
    plus `grace`, rounded up because podman takes whole seconds only. `None` for no limit.
    """
    return None if timeout is None else math.ceil(timeout + grace)
