"""Files that appear when they are whole, and the name of what is not whole yet."""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = re.compile(r"\.barasync-[0-9a-f]{16}\.partial")
"""What `partial_name` returns; nothing else is ever called so."""

YOUNG_SECONDS = 60
"""How long what has such a name may be somebody's who is writing it."""

# What is said by a file system without files that have no name, and by a kernel that knows none.
_NO_UNNAMED = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})


def partial_name() -> str:
    """Return the name of a file or directory, beside its place, that nobody has yet."""
    return f".barasync-{secrets.token_hex(8)}.partial"


def write_whole(place: Path, content: bytes) -> None:
    """Write a small file so that its readers see all of it or what was there before.

    Blocking. Of two writers the later counts. It is not synced. What writers that were killed have
    left in the directory is removed.

    Raises:
        OSError: it cannot be written; what was there is still there, and nothing else.
    """
    remove_abandoned(place.parent)
    with whole_file(place) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)


@contextmanager
def whole_file(place: Path) -> Iterator[int]:
    """Open a file that takes its place at the end of the block, and goes if that fails.

    It has no name until then, so that a process that is killed while it writes leaves nothing of
    it. One that is killed as it renames, or on a file system that has no such files (NFS, say),
    leaves what `PARTIAL` matches beside the place.

    Raises:
        OSError: it cannot be made there.
    """
    partial = partial_name()
    directory = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _written(directory, partial) as descriptor:
            yield descriptor
        os.rename(partial, place.name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial, dir_fd=directory)
        raise
    finally:
        os.close(directory)


def remove_abandoned(directory: Path) -> None:
    """Remove files that writers which were killed have left in a directory.

    Those of the last minute stay: somebody may be writing them.

    Raises:
        OSError: the directory cannot be read.
    """
    for place in directory.iterdir():
        with suppress(OSError):
            if PARTIAL.fullmatch(place.name) and _is_abandoned(place):
                place.unlink()


def _is_abandoned(place: Path) -> bool:
    return not place.is_dir() and place.lstat().st_ctime < time.time() - YOUNG_SECONDS


@contextmanager
def _written(directory: int, name: str) -> Iterator[int]:
    """Open a file that has a name in a directory, at the latest, when the block ends well."""
    unnamed = _open_unnamed(directory)
    if unnamed is None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o666, dir_fd=directory)
    else:
        descriptor = unnamed
    try:
        yield descriptor
        if unnamed is not None:
            os.link(_link_to(unnamed), name, dst_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(descriptor)


def _open_unnamed(directory: int) -> int | None:
    """Open a file without a name, `None` where that cannot be had, or not be named afterwards.

    Source: open(2), O_TMPFILE.
    """
    try:
        flags = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
        descriptor = os.open(".", flags, 0o666, dir_fd=directory)
    except OSError as error:
        if error.errno in _NO_UNNAMED:
            return None
        raise
    if Path(_link_to(descriptor)).exists():
        return descriptor
    os.close(descriptor)
    return None


def _link_to(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
