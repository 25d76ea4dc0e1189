"""Containers that do not outlive whoever needed them, also when that is cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from barasync.aiopodman.containers import Container, Containers
from barasync.aiopodman.errors import PodmanError
from barasync.aiopodman.spec import ContainerSpec

CREATE_SECONDS = 120.0
REMOVE_SECONDS = 30.0

# Another process may be at it (podman's own cleanup); a moment later it is done, or ours.
_REMOVE_PAUSES = (0.0, 0.1, 0.4, 1.6)


async def create_shielded(containers: Containers, spec: ContainerSpec) -> Container:
    """Create a container; once the request is made, cancellation waits for the answer.

    An answer that nobody reads would be a container that nobody knows.

    Raises:
        PodmanError: it could not be created.
        TimeoutError: podman did not answer within `CREATE_SECONDS`; only its labels can tell.
    """
    # Whoever was cancelled while it waited for its turn need not create anything.
    await anyio.lowlevel.checkpoint()
    with anyio.fail_after(CREATE_SECONDS, shield=True):
        return await containers.create(spec)


async def remove_persistently(container: Container) -> None:
    """Kill and remove a container whatever it does; where podman refuses, try a few times.

    Raises:
        PodmanError: podman refused to the last.
    """
    *pauses, last = _REMOVE_PAUSES
    for pause in pauses:
        await anyio.sleep(pause)
        with suppress(PodmanError):
            return await _remove(container)
    await anyio.sleep(last)
    return await _remove(container)


async def remove_shielded(container: Container) -> bool:
    """Do as `remove_persistently`; tell whether podman confirms that the container is gone.

    Goes on when cancelled, for `REMOVE_SECONDS` at most.
    """
    with anyio.move_on_after(REMOVE_SECONDS, shield=True):
        try:
            await remove_persistently(container)
        except PodmanError:
            return False
        return True
    return False


async def _remove(container: Container) -> None:
    await container.remove(force=True, timeout=0, volumes=True, missing_ok=True)


@asynccontextmanager
async def temporary(containers: Containers, spec: ContainerSpec) -> AsyncIterator[Container]:
    """Create a container for the block, and remove it afterwards.

    One that podman does not remove stays, with the labels of `spec`.

    Raises:
        PodmanError, TimeoutError: as `create_shielded`.
    """
    container = await create_shielded(containers, spec)
    try:
        yield container
    finally:
        await remove_shielded(container)
