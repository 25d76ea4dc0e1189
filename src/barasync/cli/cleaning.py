"""What `barasync clean` does and says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import typer
from anyio import to_thread

from barasync.cli.connect import Connection, connect
from barasync.engine.identity import Identity, Liveness
from barasync.engine.reaper import Leftover, dead_cgroups, leftovers, remove, remove_cgroup
from barasync.engine.usage import RunCgroup
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK

_SHOWN = {
    Liveness.ALIVE: "its run lives, kept",
    Liveness.UNKNOWN: "made on another host or in another PID namespace, kept; --all removes it",
}


async def clean_service(
    url: str | None, environ: Mapping[str, str], *, dry_run: bool, everything: bool
) -> int:
    """Remove the leftovers of dead runs, and say of each container what became of it."""
    doomed = {Liveness.DEAD, Liveness.UNKNOWN} if everything else {Liveness.DEAD}
    async with connect(url, environ, notify=_notify) as connection:
        identity = await to_thread.run_sync(Identity.current)
        found = await leftovers(connection.podman, identity)
        dead = tuple(each for each in found if each.liveness in doomed)
        for each in found:
            if each not in dead:
                typer.echo(f"{_name(each)}: {_SHOWN[each.liveness]}")
        if dry_run:
            cgroups = await _dead_cgroups(connection)
            for name in (*map(_name, dead), *(f"cgroup {cgroup.name}" for cgroup in cgroups)):
                typer.echo(f"{name}: would be removed")
            _tell_if_nothing(found, cgroups)
            return EXIT_OK
        removals = await remove(connection.podman, dead)
        # A cgroup can only go after the containers that were in it.
        cgroups = await _dead_cgroups(connection)
        gone = [await remove_cgroup(cgroup) for cgroup in cgroups]
    for removal in removals:
        end = "removed" if removal.problem is None else f"still there: {removal.problem}"
        typer.echo(f"{_name(removal.leftover)}: {end}")
    for cgroup, removed in zip(cgroups, gone, strict=True):
        end = "removed" if removed else "kept: containers of another service are in it"
        typer.echo(f"cgroup {cgroup.name}: {end}")
    _tell_if_nothing(found, cgroups)
    failed = any(removal.problem is not None for removal in removals)
    return EXIT_NOT_PASSED if failed else EXIT_OK


async def _dead_cgroups(connection: Connection) -> tuple[RunCgroup, ...]:
    if connection.cgroups is None:
        return ()
    return await to_thread.run_sync(dead_cgroups, connection.cgroups)


def _tell_if_nothing(found: Sequence[Leftover], cgroups: Sequence[RunCgroup]) -> None:
    if not found and not cgroups:
        typer.echo("nothing was left by any run")


def _name(leftover: Leftover) -> str:
    cell = leftover.cell or "a layer"
    return f"container {leftover.container[:12]} ({leftover.run}, {cell}, {leftover.state})"


def _notify(line: str) -> None:
    typer.echo(line, err=True)
