"""Containers that do not outlive whoever needed them, also when that is cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from barasync.aiopodman.answers import answered
from barasync.aiopodman.container import Container
from barasync.aiopodman.containers import Containers
from barasync.aiopodman.errors import Conflict, NotFound, PodmanError
from barasync.aiopodman.spec import ContainerSpec

CREATE_SECONDS = 120.0
_CREATE_SECONDS_WHEN_CANCELLED = 30.0
REMOVE_SECONDS = 30.0

# Another process may be at it (podman's own cleanup); a moment later it is done, or ours.
_REMOVE_PAUSES = (0.0, 0.1, 0.4, 1.6)
_NO_SPACE = "no space left on device"


async def create_shielded(containers: Containers, spec: ContainerSpec) -> Container:
    """Create a container; once the request is made, cancellation waits for the answer.

    An answer that nobody reads would be a container that nobody knows.

    Raises:
        PodmanError: it could not be created.
        TimeoutError: podman did not answer within `CREATE_SECONDS`, or 30 s after cancellation;
            only its labels can tell.
    """
    return await answered(
        lambda: containers.create(spec),
        within=CREATE_SECONDS,
        cancelled=_CREATE_SECONDS_WHEN_CANCELLED,
    )


async def remove_persistently(container: Container, *, dependents: bool = True) -> None:
    """Kill and remove a container whatever it does; where podman refuses, try a few times.

    Those that are in its namespaces go as well; without `dependents` podman refuses while there
    are such.

    That podman does not know it is no proof after it had no space: it then forgets a container
    whose files stay, for `podman rm --storage` alone (measured on 4.3.1).

    Raises:
        PodmanError: podman refused to the last, or that one time.
    """
    *pauses, last = _REMOVE_PAUSES
    full: PodmanError | None = None
    for pause in pauses:
        await anyio.sleep(pause)
        try:
            return await _remove(container, dependents=dependents)
        except NotFound:
            return _confirm(full)
        except PodmanError as error:
            full = error if _NO_SPACE in str(error).lower() else full
    await anyio.sleep(last)
    try:
        return await _remove(container, dependents=dependents)
    except NotFound:
        return _confirm(full)


def _confirm(full: PodmanError | None) -> None:
    """Take it for removed that a container is not there, unless there was no space before."""
    if full is not None:
        raise full


async def remove_shielded(container: Container) -> bool:
    """Do as `remove_persistently`; tell whether podman confirms that the container is gone.

    Goes on when cancelled, for `REMOVE_SECONDS` at most.
    """
    return await _reason_to_stay(container) is None


async def _reason_to_stay(container: Container) -> str | None:
    """Remove a container as `remove_shielded`; return why it may be there, `None` if it is gone."""
    with anyio.move_on_after(REMOVE_SECONDS, shield=True):
        try:
            await remove_persistently(container)
        except PodmanError as error:
            return str(error)
        return None
    return f"podman took more than {REMOVE_SECONDS:.0f} s"


async def _remove(container: Container, *, dependents: bool) -> None:
    try:
        await container.remove(force=True, timeout=0, volumes=True, dependents=dependents)
    except NotFound as error:
        # Podman says so as well where one in its namespaces has just been removed by others
        # (measured on 5.4.2), and then removes nothing.
        await container.inspect()
        raise Conflict(
            status=error.status,
            cause=error.cause,
            message=str(error),
            method="DELETE",
            path=error.path,
        ) from error


@asynccontextmanager
async def temporary(containers: Containers, spec: ContainerSpec) -> AsyncIterator[Container]:
    """Create a container for the block, and remove it afterwards.

    One that podman does not remove stays, with the labels of `spec`. An exception of the block has
    a note that says so; where there is none, that is one.

    Raises:
        PodmanError, TimeoutError: as `create_shielded`.
        PodmanError: on leaving, when podman did not remove it; the message has its ID.
    """
    container = await create_shielded(containers, spec)
    try:
        yield container
    except BaseException as error:
        reason = await _reason_to_stay(container)
        if reason is not None:
            error.add_note(_stays(container, reason))
        raise
    reason = await _reason_to_stay(container)
    if reason is not None:
        raise PodmanError(_stays(container, reason))


def _stays(container: Container, reason: str) -> str:
    return (
        f"container {container.id} was not removed: {reason}; "
        f"`podman rm --force --volumes {container.id[:12]}` removes it"
    )
