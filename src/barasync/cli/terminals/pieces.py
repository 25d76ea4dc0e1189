"""Our stdin in pieces, without holding up the event loop."""

from __future__ import annotations

import errno
import os

import anyio
from anyio import to_thread

from barasync.cli.terminals.ends import CannotPassOn

PIECE_BYTES = 64 * 1024


async def read_piece(stdin: int | None) -> bytes | None:
    """Return some of stdin, nothing at its end, `None` where it was a terminal that hung up.

    Raises:
        CannotPassOn: it cannot be read.
    """
    while stdin is not None:
        try:
            await anyio.wait_readable(stdin)
        except PermissionError:
            # A file, of which the kernel does not tell when it can be read: always.
            return await to_thread.run_sync(_read, stdin)
        try:
            return _read(stdin)
        except BlockingIOError:
            # Somebody else has read it.
            continue
    return b""


def _read(stdin: int) -> bytes | None:
    try:
        return os.read(stdin, PIECE_BYTES)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno == errno.EIO:
            return None
        raise CannotPassOn(f"stdin cannot be read: {error.strerror}") from error
