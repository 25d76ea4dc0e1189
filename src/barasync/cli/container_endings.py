"""What `barasync container stop` and `barasync container remove` do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import anyio
import typer

from barasync.aiopodman import Conflict, ContainerSummary, NotFound, Podman, PodmanError
from barasync.aiopodman.lifetime import remove_persistently
from barasync.cli.connect import reach
from barasync.cli.containers import listed_containers
from barasync.cli.resolution import called, is_live, resolve
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK

_AT_ONCE = 8

End = Callable[[Podman, ContainerSummary], Awaitable[str]]
"""Ends a container, or finds that it need not be ended; returns what became of it, in words."""


class _KeptError(Exception):
    """A container that stays though it was to go; says why."""


async def stop_containers(
    words: Sequence[str], *, grace: int, url: str | None, environ: Mapping[str, str]
) -> int:
    """Stop containers, `grace` seconds after their stop signal by SIGKILL; say what became of each.

    Nothing is stopped unless every word means a container. One that does not run is no failure;
    where podman cannot stop one, the exit code is 1.

    Raises:
        ConfigError: a word means no container, or several.
    """

    async def stop(podman: Podman, container: ContainerSummary) -> str:
        if not is_live(container):
            return f"does not run ({container.state})"
        await podman.containers.handle(container.id).stop(timeout=grace)
        return "stopped"

    return await _end(words, stop, url, environ)


async def remove_containers(
    words: Sequence[str], *, force: bool, url: str | None, environ: Mapping[str, str]
) -> int:
    """Remove containers, killing those that run with `force`; say what became of each.

    Nothing is removed unless every word means a container. One that runs, or that another one
    needs, stays without `force`, and makes the exit code 1.

    Raises:
        ConfigError: a word means no container, or several.
    """

    async def remove(podman: Podman, container: ContainerSummary) -> str:
        handle = podman.containers.handle(container.id)
        if force:
            # Nobody has named those that are in its namespaces.
            await remove_persistently(handle, dependents=False)
            return "removed"
        if is_live(container):
            raise _KeptError(f"it is {container.state}; `--force` kills it")
        await handle.remove(volumes=True)
        return "removed"

    return await _end(words, remove, url, environ)


async def _end(words: Sequence[str], end: End, url: str | None, environ: Mapping[str, str]) -> int:
    async with reach(url, environ, notify=partial(typer.echo, err=True)) as reached:
        podman = reached.podman
        containers = await listed_containers(podman)
        doomed = {each.id: each for each in (resolve(word, containers) for word in words)}
        limiter = anyio.CapacityLimiter(_AT_ONCE)
        failed = False

        async def end_one(container: ContainerSummary) -> None:
            nonlocal failed
            async with limiter:
                kept, fate = await _fate(podman, container, end)
            failed = failed or kept
            typer.echo(f"{called(container)}: {fate}")

        async with anyio.create_task_group() as group:
            for container in doomed.values():
                group.start_soon(end_one, container)
    return EXIT_NOT_PASSED if failed else EXIT_OK


async def _fate(podman: Podman, container: ContainerSummary, end: End) -> tuple[bool, str]:
    """End a container; tell whether it stays against the will of who asked, and the words."""
    try:
        return False, await end(podman, container)
    except _KeptError as reason:
        return True, f"kept, {reason}"
    except NotFound:
        return False, "is gone already"
    except Conflict as error:
        return True, f"kept: {error.cause}"
    except PodmanError as error:
        return True, f"still there: {error}"
