"""Writing a small file in one step, beside others that do so at the same time."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from pathlib import Path

# How old a file is that nobody writes any more.
_YOUNG_SECONDS = 60


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its readers see all of it or what was there before.

    Blocking. Of two writers the later counts. It is not synced. A writer that is killed leaves a
    file of its own beside it, `.NAME-…`, which one that comes a minute later removes.

    Raises:
        OSError: it cannot be written; what was there is still there, and nothing else.
    """
    _remove_abandoned(path)
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with fresh.open("xb") as file:
            file.write(content)
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def _remove_abandoned(path: Path) -> None:
    """Remove what writers that were killed have left beside a file."""
    for left in path.parent.glob(f".{path.name}-*"):
        with suppress(OSError):
            if left.lstat().st_mtime < time.time() - _YOUNG_SECONDS:
                left.unlink()
