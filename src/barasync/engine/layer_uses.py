"""When this user last used workspace layers: an empty file for each, whose time says when.

Podman does not know, and nothing about an image can be changed but its names. What another user
does with a layer is not seen, but the files of two users hardly make the same one: their times go
into it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


def note_uses(directory: Path, layers: Collection[str], now: float) -> None:
    """Note that layers, given by their IDs, were used at `now`, in seconds since the epoch.

    Blocking. What is no ID is passed over: a service says what it likes.

    Raises:
        OSError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for layer in filter(_IMAGE_ID.fullmatch, layers):
        path = directory / layer
        path.touch()
        os.utime(path, (now, now))


def last_uses(directory: Path, layers: Iterable[str]) -> Mapping[str, float]:
    """Return when layers were last used, where that is known. Blocking."""
    found = {}
    for layer in filter(_IMAGE_ID.fullmatch, layers):
        try:
            found[layer] = (directory / layer).stat().st_mtime
        except OSError:
            continue  # nobody has noted it, or nobody could
    return found


def forget_uses(directory: Path, before: float) -> None:
    """Forget the uses before a time: the layers are outdated by then, on whatever service.

    Blocking.

    Raises:
        OSError: something cannot be removed.
    """
    for path in directory.iterdir():
        with suppress(FileNotFoundError):  # another run has just forgotten it
            if path.stat().st_mtime < before:
                path.unlink()
