"""What `barasync container top` does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import typer

from barasync.cli.columns import in_columns
from barasync.cli.containers import found_container, require_running
from barasync.errors import EXIT_OK
from barasync.terminal_text import plain


async def show_processes(
    word: str,
    *,
    columns: Sequence[str],
    as_json: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Print the processes of a container, a line for each; `columns` are podman's names.

    Raises:
        ConfigError: the word means no container, or several, or one that does not run.
    """
    async with found_container(word, url, environ) as (_podman, container, state):
        require_running(word, state)
        found = await container.top(columns)
    if as_json:
        rows = [dict(zip(found.titles, row, strict=False)) for row in found.processes]
        typer.echo(json.dumps(rows, indent=2))
    else:
        typer.echo(in_columns([[*map(plain, row)] for row in (found.titles, *found.processes)]))
    return EXIT_OK
