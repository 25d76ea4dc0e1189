"""What of the project's files is hidden by something that is mounted in the workspace."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from barasync.config.schema import WORKSPACE
from barasync.workspace.tree import Entry, Kind

# They keep a directory in a repository that is to be filled by others.
_PLACEHOLDERS = frozenset({".gitignore", ".gitkeep", ".keep"})


def hidden_file(entries: Iterable[Entry], destination: str) -> str | None:
    """Return a file of the project at or below a place in a cell, `None` where there is none.

    Files that only keep a directory do not count.
    """
    if destination != WORKSPACE and not destination.startswith(f"{WORKSPACE}/"):
        return None
    for entry in entries:
        path = f"{WORKSPACE}/{entry.path}"
        if entry.kind is Kind.DIRECTORY or posixpath.basename(path) in _PLACEHOLDERS:
            continue
        if path == destination or path.startswith(f"{destination}/"):
            return entry.path
    return None
