"""Locks that hold between processes, on files that stay.

A file is a lock, or as many as there are keys: each key has a byte of its own, which need not be
there. So any number of locks takes one file, and whoever has one keeps nobody from another.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import to_thread

_LOOK_SECONDS = 0.2
# `struct flock`, as the kernel has it for 64-bit offsets: type, whence, start, length, process.
_FLOCK = "hhqqi"
_ALL = 0  # as a length


@asynccontextmanager
async def locked(
    path: Path, *, key: str = "", shared: bool, on_wait: Callable[[], None]
) -> AsyncIterator[None]:
    """Hold a lock in a file, alone or with others that hold it `shared`, for the block.

    It is that of `key`; without one that of the whole file, which is for files without keys. Waits
    for as long as that takes; `on_wait` is called once if it has to. The file is made where it is
    missing, and stays: who removed it would part those that hold it from those that come. The lock
    ends with its process, however that ends. Nothing is held when cancelled.

    Source: fcntl(2), open file description locks, which threads and tasks of a process keep from
    each other as well; they give no other sign of a lock that is free than getting it.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
    """
    descriptor = await to_thread.run_sync(_open, path)
    try:
        if not _take(descriptor, key, shared=shared):
            on_wait()
            while not _take(descriptor, key, shared=shared):  # noqa: ASYNC110 - as said
                await anyio.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def locked_at_once(path: Path, *, key: str = "") -> AsyncIterator[bool]:
    """Hold a lock in a file alone for the block, if nobody has it; tell whether that is so.

    Else as `locked`.
    """
    descriptor = await to_thread.run_sync(_open, path)
    try:
        yield _take(descriptor, key, shared=False)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(descriptor: int, key: str, *, shared: bool) -> bool:
    kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
    start, length = (_byte_of(key), 1) if key else (0, _ALL)
    wanted = struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        return False
    return True


def _byte_of(key: str) -> int:
    """Return the offset that stands for a key, one of 2^62: no two have the same."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) >> 2
