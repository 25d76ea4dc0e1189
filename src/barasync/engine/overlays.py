"""What a container writes to its overlays, kept until its artifacts are collected.

Podman unmounts an overlay when the container's process ends, and throws away what was written. Here
it goes to volumes instead, and after the end another container with the same overlay shows it to
the archive endpoint, which sees what is mounted in a container only while that runs. Nothing else
happens in it (`idle`; `docs/podman.md` says how long that takes). What the kernel merges needs no
reader of whiteouts and opaque directories, and a volume is removed by podman whoever owns what is
in it.

Source: podman-run(1), `--volume`, option `O` with `upperdir` and `workdir`, which have to be on one
file system; kernel documentation, "Overlay Filesystem".
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio

from barasync.aiopodman import (
    Container,
    ContainerSpec,
    Mount,
    Podman,
    PodmanError,
    create_shielded,
    remove_shielded,
)
from barasync.engine.gate import Gates
from barasync.engine.idle import idle
from barasync.engine.network_specs import unconnected

_MAKE_SECONDS = 30.0
_REMOVE_SECONDS = 20.0
# What is mounted so gets another owner or label when a container is made.
_CHANGING = frozenset({"U", "z", "Z"})


class OverlayWrites:
    """The volumes for what one container writes to its overlays.

    `make` has to be called first, `remove` at last, when no container with `spec` is left.
    """

    def __init__(self, podman: Podman, spec: ContainerSpec, gates: Gates) -> None:
        self.spec = spec
        self.leaked: str | None = None
        self._podman = podman
        self._gates = gates
        self._names: list[str] = []

    async def make(self) -> None:
        """Make the volumes; `spec` is then what the container is to be created from.

        Shielded from cancellation. What was made before an error is for `remove`.

        Raises:
            PodmanError, TimeoutError: podman did not make them.
        """
        with anyio.move_on_after(_MAKE_SECONDS, shield=True):
            await self._make()
            return
        message = f"podman did not make the volumes for overlays within {_MAKE_SECONDS:g} s"
        raise TimeoutError(message)

    @asynccontextmanager
    async def shown(self, seconds: float) -> AsyncIterator[Container]:
        """Give a container that shows the overlays as the ended one left them.

        Podman ends it after `seconds`, should this process be killed. It is removed after the
        block, or its ID is in `leaked`; its image stays (`program_image`).

        Raises:
            PodmanError, TimeoutError: podman could not start it.
        """
        # No other machine can have an overlay of our directory.
        program = await idle(self._podman, self._gates)
        spec = replace(
            unconnected(self.spec),
            name=f"{self.spec.name}-files",
            image=program.image,
            entrypoint=(program.path,),
            command=(),
            env={},
            mounts=tuple(map(_as_it_is, self.spec.mounts)),
            secret_files=(),
            secret_env={},
            timeout=max(1, round(seconds)),
            memory_bytes=None,
            cpus=None,
            cgroup_parent=None,
        )
        async with self._gates.create.passed():
            container = await create_shielded(self._podman.containers, spec)
        try:
            async with self._gates.start.passed():
                await container.start()
            yield container
        finally:
            with anyio.CancelScope(shield=True):
                async with self._gates.remove.passed():
                    gone = await remove_shielded(container)
            if not gone:
                self.leaked = container.id

    async def remove(self) -> None:
        """Remove the volumes; shielded and bounded. `sweep` names those that podman keeps."""
        with anyio.move_on_after(_REMOVE_SECONDS, shield=True):
            for name in self._names:
                try:
                    await self._podman.volumes.remove(name, missing_ok=True)
                except PodmanError:
                    continue

    async def _make(self) -> None:
        overlays = []
        for number, overlay in enumerate(self.spec.overlays):
            upper = await self._volume(f"upper{number}")
            work = await self._volume(f"work{number}")
            options = (*overlay.options, f"upperdir={upper}", f"workdir={work}")
            overlays.append(Mount(overlay.source, overlay.destination, options))
        self.spec = replace(self.spec, overlays=tuple(overlays))

    async def _volume(self, kind: str) -> str:
        """Make a volume and return where it is on the service's host."""
        name = f"{self.spec.name}-{kind}"
        self._names.append(name)
        made = await self._podman.volumes.create(name, labels=self.spec.labels)
        return made.mountpoint


def _as_it_is(mount: Mount) -> Mount:
    """Return a mount that changes nothing of what it mounts."""
    options = tuple(option for option in mount.options if option not in _CHANGING)
    return replace(mount, options=options)
