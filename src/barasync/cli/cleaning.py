"""What `barasync clean` does and says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import typer
from anyio import to_thread

from barasync.cli.connect import Connection, connect
from barasync.engine.identity import Identity, Liveness
from barasync.engine.reaper import Fate, Kind, Leftover, Removal, leftovers, remove
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK

_KEPT = {
    Liveness.ALIVE: "kept, its run lives",
    Liveness.UNKNOWN: "kept, its run cannot be judged from here"
    " (another host or PID namespace, or a hidden process); --all removes it",
}
_ENDS = {Fate.REMOVED: "removed", Fate.IN_USE: "kept, in use", Fate.FAILED: "still there"}


async def clean_service(
    url: str | None, environ: Mapping[str, str], *, dry_run: bool, everything: bool
) -> int:
    """Remove the leftovers of dead runs, and say of everything found what became of it."""
    doomed = {Liveness.DEAD, Liveness.UNKNOWN} if everything else {Liveness.DEAD}
    async with connect(url, environ, notify=_notify) as connection:
        podman, cgroups = connection.podman, connection.cgroups
        identity = await to_thread.run_sync(Identity.current)
        found = await leftovers(podman, identity, cgroups)
        dead = [each for each in found if each.liveness in doomed]
        for each in found:
            if each.liveness not in doomed:
                typer.echo(f"{_name(each)}: {_KEPT[each.liveness]}")
        if not found:
            typer.echo("nothing was left by any run")
        if dry_run:
            for each in dead:
                typer.echo(f"{_name(each)}: would be removed")
            return EXIT_OK
        removals = await remove(podman, cgroups, dead)
    for removal in removals:
        typer.echo(told(removal))
    return exit_code(removals)


def told(removal: Removal) -> str:
    """Return the line that says what became of a leftover."""
    end = _ENDS[removal.fate]
    reason = f": {removal.reason}" if removal.reason else ""
    return f"{_name(removal.leftover)}: {end}{reason}"


def exit_code(removals: Iterable[Removal]) -> int:
    """Return the exit code of `barasync clean`: what is in use is meant to stay."""
    failed = any(removal.fate is Fate.FAILED for removal in removals)
    return EXIT_NOT_PASSED if failed else EXIT_OK


async def note_on_dead_runs(connection: Connection, identity: Identity) -> str | None:
    """Return a line about the containers that dead runs left on a service, `None` without any.

    One request: it is made at the start of every run.
    """
    found = await leftovers(connection.podman, identity, None, kinds={Kind.CONTAINER})
    dead = sum(each.liveness is Liveness.DEAD for each in found)
    if dead == 0:
        return None
    if dead == 1:
        return "1 container of a dead run is left on this service; `barasync clean` removes it"
    return f"{dead} containers of dead runs are left on this service; `barasync clean` removes them"


def _name(leftover: Leftover) -> str:
    detail = f", {leftover.detail}" if leftover.detail else ""
    return f"{leftover.kind.value} {leftover.name} (run {leftover.run}{detail})"


def _notify(line: str) -> None:
    typer.echo(line, err=True)
