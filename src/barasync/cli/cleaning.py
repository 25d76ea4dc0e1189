"""What `barasync clean` does and says."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from barasync.cli.connect import connect
from barasync.engine.identity import Identity, Liveness
from barasync.engine.reaper import Leftover, leftovers, remove, remove_run_cgroup
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
        found = await leftovers(connection.podman, Identity.current())
        dead = tuple(each for each in found if each.liveness in doomed)
        for each in found:
            if each not in dead:
                typer.echo(f"{_name(each)}: {_SHOWN[each.liveness]}")
        if dry_run:
            for each in dead:
                typer.echo(f"{_name(each)}: would be removed")
            return EXIT_OK
        removals = await remove(connection.podman, dead)
        if connection.cgroups is not None:
            for run in {each.run for each in dead}:
                await remove_run_cgroup(connection.cgroups, run)
    for removal in removals:
        end = "removed" if removal.problem is None else f"still there: {removal.problem}"
        typer.echo(f"{_name(removal.leftover)}: {end}")
    if not found:
        typer.echo("nothing was left by any run")
    failed = any(removal.problem is not None for removal in removals)
    return EXIT_NOT_PASSED if failed else EXIT_OK


def _name(leftover: Leftover) -> str:
    cell = leftover.cell or "a layer"
    return f"container {leftover.container[:12]} ({leftover.run}, {cell}, {leftover.state})"


def _notify(line: str) -> None:
    typer.echo(line, err=True)
