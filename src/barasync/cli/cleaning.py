"""What `barasync clean` does and says."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import anyio
import typer
from anyio import to_thread

from barasync.aiopodman import APIError, Conflict, Podman, PodmanError
from barasync.aiopodman.service_place import abandoned, remove_abandoned
from barasync.cli.background_cleaning import clean_entries, look_for_entries
from barasync.cli.connect import Connection, connect
from barasync.cli.directories import lock_directory, use_files
from barasync.cli.own_images import remove_kept
from barasync.cli.resolution import called
from barasync.engine.caches import describe, find_caches, unused
from barasync.engine.detached import is_detached
from barasync.engine.identity import RUN, Identity, Liveness
from barasync.engine.image_uses import forget_uses
from barasync.engine.pruning import AUTOMATIC, KEPT_SECONDS, prune
from barasync.engine.reaper import Fate, Kind, Leftover, Removal, leftovers, remove, without_others
from barasync.engine.starts_once import remove_marks
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK
from barasync.report.words import count

_KEPT = {
    Liveness.ALIVE: "kept, its run lives",
    Liveness.UNKNOWN: "kept, its run cannot be judged from here"
    " (another host or PID namespace, or a hidden process); --all removes it",
}
_PATIENCE_SECONDS = 10.0
_MOST_NAMED = 5
_ENDS = {Fate.REMOVED: "removed", Fate.IN_USE: "kept, in use", Fate.FAILED: "still there"}


async def clean_service(
    url: str | None,
    environ: Mapping[str, str],
    project: Path,
    *,
    dry_run: bool,
    everything: bool,
    caches: bool,
    kept: bool,
) -> int:
    """Remove the leftovers of dead runs, and say of everything found what became of it.

    Of what was begun in the background it is those of `project`.
    """
    doomed = {Liveness.DEAD, Liveness.UNKNOWN} if everything else {Liveness.DEAD}
    async with connect(url, environ, notify=_notify) as connection:
        directories = await _abandoned(environ)
        entries, code = await look_for_entries(project)
        # Before the layers that they are made from.
        if kept:
            code = max(code, await remove_kept(connection.podman, dry_run=dry_run))
        quiet = bool(directories or entries)
        left = await _clean_leftovers(connection, doomed, dry_run=dry_run, quiet=quiet)
        code = max(code, left)
        await _tell_of_detached(connection.podman)
        code = max(code, await _clean_directories(directories, dry_run=dry_run))
        code = max(code, await clean_entries(entries, now=time.time(), dry_run=dry_run))
        if caches:
            locks = lock_directory()
            code = max(code, await clean_caches(connection.podman, locks, dry_run=dry_run))
    return code


async def _clean_leftovers(
    connection: Connection, doomed: Collection[Liveness], *, dry_run: bool, quiet: bool
) -> int:
    """Remove what is on a service and in its cgroups; `quiet` does not say that nothing is."""
    podman, cgroups = connection.podman, connection.cgroups
    identity = await to_thread.run_sync(Identity.current)
    unlisted: dict[Kind, PodmanError] = {}
    found = await leftovers(podman, identity, cgroups, on_unlisted=unlisted.__setitem__)
    for kind, error in unlisted.items():
        again = "run `barasync clean` again when podman can"
        _notify(f"{kind.value}s could not be listed: {error}; {again}")
    code = EXIT_NOT_PASSED if unlisted else EXIT_OK
    dead = [each for each in found if each.liveness in doomed]
    for each in found:
        if each.liveness not in doomed:
            typer.echo(f"{_name(each)}: {_KEPT[each.liveness]}")
    if not (found or unlisted or quiet):
        typer.echo("nothing was left by any run")
    if dry_run:
        for each in dead:
            typer.echo(f"{_name(each)}: would be removed")
        return code
    removals = await remove(podman, cgroups, dead)
    await to_thread.run_sync(remove_marks, identity)
    for removal in removals:
        typer.echo(told(removal))
    return max(code, exit_code(removals))


async def _tell_of_detached(podman: Podman) -> None:
    """Say which containers stay because they are to go on."""
    try:
        found = await podman.containers.list(labels={RUN: None}, all=True)
    except APIError:
        # That they could not be listed has been said.
        return
    names = sorted(called(each) for each in found if is_detached(each.names, each.labels))
    if names:
        _notify(note_of_detached(names))


def note_of_detached(names: Sequence[str]) -> str:
    """Return the line about containers that stay, by name, with what removes them."""
    shown = " ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    end = f"; and {more} more, which `barasync container list` shows" if more > 0 else ""
    return (
        f"{count(len(names), 'detached container')} left alone;"
        f" `barasync container remove --force {shown}` removes"
        f" {'it' if len(names) == 1 else 'them'}{end}"
    )


async def _clean_directories(directories: Sequence[Path], *, dry_run: bool) -> int:
    """Remove what dead private services have left; what runs from there has been ended before."""
    code = EXIT_OK
    for path in directories:
        name = f"directory {path} (of a podman service whose barasync is dead)"
        if dry_run:
            typer.echo(f"{name}: would be removed")
            continue
        reason = await remove_abandoned(path)
        if reason is not None:
            code = EXIT_NOT_PASSED
        typer.echo(f"{name}: removed" if reason is None else f"{name}: still there: {reason}")
    return code


async def _abandoned(environ: Mapping[str, str]) -> tuple[Path, ...]:
    return await to_thread.run_sync(lambda: abandoned(environ, rootless=os.geteuid() != 0))


async def clean_caches(podman: Podman, locks: Path, *, dry_run: bool) -> int:
    """Remove the caches that no container and no run uses; say of each what became of it.

    `locks` has the files by which runs of this user have theirs. Returns the exit code.

    Raises:
        PodmanError: the service does not answer.
    """
    found = await find_caches(podman)
    if not found:
        typer.echo("there are no caches")
    code = EXIT_OK
    for volume in found:
        detail = describe(volume)
        name = f"cache {volume.name}" + (f" ({detail})" if detail else "")
        if dry_run:
            typer.echo(f"{name}: would be removed")
            continue
        fate, reason = await _remove_cache(podman, volume.name, locks)
        typer.echo(f"{name}: {_ENDS[fate]}" + (f": {reason}" if reason else ""))
        if fate is Fate.FAILED:
            code = EXIT_NOT_PASSED
    return code


async def _remove_cache(podman: Podman, volume: str, locks: Path) -> tuple[Fate, str]:
    """Remove a cache if nothing uses it; return what became of it, and why it is there."""
    try:
        async with unused(volume, locks) as is_unused:
            if not is_unused:
                return Fate.IN_USE, "a run has its lock"
            await podman.volumes.remove(volume, missing_ok=True)
    except Conflict as error:
        return Fate.IN_USE, str(error)
    except APIError as error:
        return Fate.FAILED, str(error)
    except OSError as error:
        return Fate.FAILED, f"no lock in {locks}: {error.strerror}"
    return Fate.REMOVED, ""


def told(removal: Removal) -> str:
    """Return the line that says what became of a leftover."""
    end = _ENDS[removal.fate]
    reason = f": {removal.reason}" if removal.reason else ""
    return f"{_name(removal.leftover)}: {end}{reason}"


def exit_code(removals: Iterable[Removal]) -> int:
    """Return the exit code of `barasync clean`: what is in use is meant to stay."""
    failed = any(removal.fate is Fate.FAILED for removal in removals)
    return EXIT_NOT_PASSED if failed else EXIT_OK


async def sweep_host(environ: Mapping[str, str], identity: Identity) -> None:
    """Remove what dead runs and private services have left beside podman, and nobody can use.

    These are directories of services, where `environ` has a service put its own, of which `clean`
    tells where one stays, and the empty files without which a container does not start. It is done
    at the start of every run.
    """
    await to_thread.run_sync(remove_marks, identity)
    for path in await _abandoned(environ):
        await remove_abandoned(path)


async def note_on_dead_runs(connection: Connection, identity: Identity) -> str | None:
    """Return a line about what dead runs left on a service, `None` where that is nothing.

    It is made at the start of every run, and costs some milliseconds. A layer is no sign of a dead
    run, every run leaves its own for the next one: they are counted where there is something else.
    What goes on in another service, below the same cgroups, is no sign either.
    """
    podman, cgroups = connection.podman, connection.cgroups
    found = await leftovers(podman, identity, cgroups, kinds=set(Kind) - {Kind.LAYER})
    dead = await without_others(cgroups, _dead(found))
    if not dead:
        return None
    return note_of(dead + _dead(await leftovers(podman, identity, None, kinds={Kind.LAYER})))


def note_of(dead: Sequence[Leftover]) -> str:
    """Return the line that counts what dead runs left, by kind."""
    kinds = Counter(each.kind for each in dead)
    *first, last = (count(kinds[kind], kind.value) for kind in Kind if kinds[kind])
    counted = f"{', '.join(first)} and {last}" if first else last
    runs = "a dead run" if len({each.run for each in dead}) == 1 else "dead runs"
    are, them = ("is", "it") if len(dead) == 1 else ("are", "them")
    return f"{counted} of {runs} {are} left on this service; `barasync clean` removes {them}"


def _dead(found: Iterable[Leftover]) -> list[Leftover]:
    return [each for each in found if each.liveness is Liveness.DEAD]


async def prune_automatically(
    connection: Connection, identity: Identity, *, run: str, now: float
) -> tuple[str, ...]:
    """Remove outdated images at the end of a run or a build; say what went wrong, in sentences.

    What is not removed within `_PATIENCE_SECONDS` is left to the next one.
    """
    files = use_files()
    try:
        with anyio.move_on_after(_PATIENCE_SECONDS):
            await prune(
                connection.podman, identity, run=run, bounds=AUTOMATIC, files=files, now=now
            )
        await to_thread.run_sync(forget_uses, files.uses, now - KEPT_SECONDS)
    except (PodmanError, OSError) as error:
        return (f"outdated images could not be removed: {error}",)
    return ()


def _name(leftover: Leftover) -> str:
    detail = f", {leftover.detail}" if leftover.detail else ""
    return f"{leftover.kind.value} {leftover.name} (run {leftover.run}{detail})"


def _notify(line: str) -> None:
    typer.echo(line, err=True)
