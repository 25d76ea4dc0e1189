"""What `barasync container stop` and `barasync container remove` do."""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    MutableSequence,
    Sequence,
)

import anyio
import typer
from anyio import to_thread

from barasync.aiopodman import Conflict, ContainerSummary, NotFound, Podman, PodmanError
from barasync.aiopodman.lifetime import remove_persistently
from barasync.cli.cleaning import exit_code, told
from barasync.cli.connect import Connection, reach
from barasync.cli.containers import listed_containers, podman_at
from barasync.cli.printing import Printer, printing
from barasync.cli.resolution import called, is_live, resolve
from barasync.engine.detached import is_detached
from barasync.engine.identity import RUN, Identity, Liveness
from barasync.engine.reaper import Fate, Kind, leftovers
from barasync.engine.reaper import remove as remove_leftovers
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK

_AT_ONCE = 8
_CLEAN = "`barasync clean` removes them"

End = Callable[[Podman, ContainerSummary], Awaitable[str]]
"""Ends a container, or finds that it need not be ended; returns what became of it, in words."""


class _KeptError(Exception):
    """A container that stays though it was to go; says why."""


async def stop_containers(
    words: Sequence[str], *, grace: int, url: str | None, environ: Mapping[str, str]
) -> int:
    """Stop containers, `grace` seconds after their stop signal by SIGKILL; say what became of each.

    Nothing is stopped unless every word means a container. One that does not run is no failure; one
    that is paused, or that podman cannot stop, makes the exit code 1. When cancelled, what became
    of each is said too: podman goes on with what it was asked for.

    Raises:
        ConfigError: a word means no container, or several.
    """

    async def stop(podman: Podman, container: ContainerSummary) -> str:
        if not is_live(container):
            return f"does not run ({container.state})"
        if container.state == "paused":
            # Podman waits for what cannot end, and refuses then.
            name = called(container)
            raise _KeptError(
                f"it is paused; `{podman_at(podman.endpoint)} unpause {name}` lets it go on, "
                f"`barasync container remove --force {name}` kills it"
            )
        await podman.containers.handle(container.id).stop(timeout=grace)
        return "stopped"

    with printing(environ) as printer:
        async with reach(url, environ, notify=_notify) as reached:
            return await end_containers(
                reached.podman, words, stop, verb="stop", printer=printer, ended=[]
            )


async def remove_containers(
    words: Sequence[str], *, force: bool, url: str | None, environ: Mapping[str, str]
) -> int:
    """Remove containers, killing those that run with `force`; say what became of each.

    Nothing is removed unless every word means a container. One that runs, or that another one
    needs, stays without `force`, and makes the exit code 1. With one that was detached goes what
    its run has left for it: its network, its volumes and its cgroup. When cancelled, as
    `stop_containers`.

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

    ended: list[ContainerSummary] = []
    with printing(environ) as printer:
        async with reach(url, environ, notify=_notify) as reached:
            try:
                code = await end_containers(
                    reached.podman, words, remove, verb="remove", printer=printer, ended=ended
                )
                if runs := _detached_runs(ended):
                    code = max(code, await _remove_places(await reached.look(), runs, printer))
            except anyio.get_cancelled_exc_class():
                for run in sorted(_detached_runs(ended)):
                    _notify(f"networks and volumes of run {run} may be left; {_CLEAN}")
                raise
    return code


async def end_containers(
    podman: Podman,
    words: Sequence[str],
    end: End,
    *,
    verb: str,
    printer: Printer,
    ended: MutableSequence[ContainerSummary],
) -> int:
    """End what the words mean, and return the exit code; `ended` gets those that need no more.

    What becomes of each is printed. When cancelled, also of which it is not known, and which were
    not begun with; `verb` says what was to be done.

    Raises:
        ConfigError: a word means no container, or several; nothing is ended then.
        ExceptionGroup: of a `CannotWrite`.
    """
    containers = await listed_containers(podman)
    doomed = {each.id: each for each in (resolve(word, containers) for word in words)}
    limiter = anyio.CapacityLimiter(_AT_ONCE)
    codes = [EXIT_OK]

    async def end_one(container: ContainerSummary) -> None:
        name, interrupted = called(container), f"interrupted; {verb} was not begun"
        try:
            async with limiter:
                interrupted = f"interrupted; podman was asked to {verb} it, and may still do so"
                kept, fate = await _fate(podman, container, end)
        except anyio.get_cancelled_exc_class():
            await printer.print(f"{name}: {interrupted}")
            raise
        if not kept:
            ended.append(container)
        codes.append(await printer.print(f"{name}: {fate}"))

    try:
        async with anyio.create_task_group() as group:
            for container in doomed.values():
                group.start_soon(end_one, container)
    finally:
        await printer.print_last()
    if len(ended) < len(doomed):
        codes.append(EXIT_NOT_PASSED)
    return max(codes)


def _detached_runs(ended: Iterable[ContainerSummary]) -> set[str]:
    """Return the runs of which something may be left that was for one of these containers."""
    return {each.labels[RUN] for each in ended if is_detached(each.names, each.labels)}


async def _remove_places(connection: Connection, runs: Collection[str], printer: Printer) -> int:
    """Remove what detached containers of dead runs were in; say what stays, and return the code."""
    podman, cgroups = connection.podman, connection.cgroups
    identity = await to_thread.run_sync(Identity.current)
    unlisted: dict[Kind, PodmanError] = {}
    found = await leftovers(
        podman,
        identity,
        cgroups,
        kinds=set(Kind) - {Kind.LAYER},
        on_unlisted=unlisted.__setitem__,
    )
    for kind, error in unlisted.items():
        _notify(f"{kind.value}s could not be listed: {error}; {_CLEAN}")
    dead = [each for each in found if each.run in runs and each.liveness is Liveness.DEAD]
    removals = await remove_leftovers(podman, cgroups, dead)
    for removal in removals:
        if removal.fate is not Fate.REMOVED:
            await printer.print(told(removal))
    return max(EXIT_NOT_PASSED if unlisted else EXIT_OK, exit_code(removals))


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


def _notify(line: str) -> None:
    typer.echo(line, err=True)
