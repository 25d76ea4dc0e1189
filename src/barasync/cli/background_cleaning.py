"""What `barasync clean` does about what was begun in the background in a project."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer
from anyio import to_thread

from barasync.cli.background_entries import Entry, State, entries_of, remove, shown
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK

KEPT_SECONDS = 7 * 86400.0
"""For which a result waits for whoever is to take it."""


async def look_for_entries(project: Path) -> tuple[tuple[Entry, ...], int]:
    """Return what was begun in the background in a project, with an exit code.

    Where it cannot be looked at that is said.
    """
    try:
        return await to_thread.run_sync(entries_of, project), EXIT_OK
    except OSError as error:
        typer.echo(
            f"what was begun in the background cannot be looked at: {error.filename}:"
            f" {error.strerror}",
            err=True,
        )
        return (), EXIT_NOT_PASSED


async def clean_entries(entries: Iterable[Entry], *, now: float, dry_run: bool) -> int:
    """Remove what was killed, and results that nobody has taken for a week; return the exit code.

    It is said of each entry what became of it; `now` is in seconds since 1970.
    """
    code = EXIT_OK
    for entry in entries:
        end = _kept(entry, now)
        if end is None and dry_run:
            end = "would be removed"
        elif end is None:
            try:
                gone = await to_thread.run_sync(remove, entry)
                end = "removed" if gone else "kept, in use"
            except OSError as error:
                code, end = EXIT_NOT_PASSED, f"still there: {error.strerror}"
        typer.echo(f"background {shown(entry.key)} ({entry.state.value}): {end}")
    return code


def _kept(entry: Entry, now: float) -> str | None:
    """Return why an entry stays, `None` where it is to go."""
    if entry.state is State.RUNS:
        return "kept, its process lives"
    if entry.ended is not None and now - entry.ended <= KEPT_SECONDS:
        return "kept for `barasync wait`"
    return None
