"""What `barasync container top` does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from barasync.aiopodman import (
    BadRequest,
    Conflict,
    Container,
    NotFound,
    OCIRuntimeError,
    Processes,
    ServerError,
)
from barasync.cli.columns import in_columns
from barasync.cli.containers import found_container, podman_at, require_running, why_refused
from barasync.cli.printing import print_all
from barasync.errors import ConfigError
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
        ConfigError: the word means no container, or several, or one that does not run; podman does
            not know one of the columns.
    """
    async with found_container(word, url, environ) as (podman, container, state):
        called = podman_at(podman.endpoint)
        require_running(word, state, called)
        try:
            found = await _processes(container, columns)
        except (Conflict, NotFound) as error:
            raise await why_refused(word, container, error, called) from None
    if as_json:
        rows = [dict(zip(found.titles, row, strict=False)) for row in found.processes]
        return await print_all(json.dumps(rows, indent=2), environ)
    table = in_columns([[*map(plain, row)] for row in (found.titles, *found.processes)])
    return await print_all(table, environ)


async def _processes(container: Container, columns: Sequence[str]) -> Processes:
    try:
        return await container.top(columns)
    except (BadRequest, OCIRuntimeError, ServerError) as error:
        if not columns:
            raise
        # Columns that podman does not know are those of a `ps` in the container, if it has one.
        raise ConfigError(
            f"--columns: {','.join(map(plain, columns))}: {plain(error.message)}",
            hint="podman-top(1) lists those that there are",
        ) from None
