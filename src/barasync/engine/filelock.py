"""Locks that hold between processes, on files that stay."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import to_thread

_LOOK_SECONDS = 0.2


@asynccontextmanager
async def locked(path: Path, *, shared: bool, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock on a file, alone or with others that hold it `shared`, for the block.

    Waits for as long as that takes; `on_wait` is called once if it has to. The file is made where
    it is missing, and stays: who removed it would part those that hold it from those that come.
    The lock ends with its process, however that ends. Nothing is held when cancelled.

    Source: flock(2), which gives no other sign of a lock that is free than getting it.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
    """
    descriptor = await to_thread.run_sync(_open, path)
    try:
        if not _take(descriptor, shared=shared):
            on_wait()
            while not _take(descriptor, shared=shared):  # noqa: ASYNC110 - as said
                await anyio.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def locked_at_once(path: Path) -> AsyncIterator[bool]:
    """Hold the lock on a file alone for the block, if nobody has it; tell whether that is so.

    Else as `locked`.
    """
    descriptor = await to_thread.run_sync(_open, path)
    try:
        yield _take(descriptor, shared=False)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(descriptor: int, *, shared: bool) -> bool:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
