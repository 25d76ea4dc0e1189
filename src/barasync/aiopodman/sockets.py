"""Connecting to a unix socket.

`anyio.connect_unix` keeps a core busy where the listener's queue of connections is full: the kernel
calls such a socket writable, and refuses again. On trio it fails there.
"""

from __future__ import annotations

import socket

import anyio
from anyio.lowlevel import checkpoint

# The kernel does not tell when a full queue has room again.
_QUEUE_PAUSE_SECONDS = 0.01


async def connect(path: str) -> socket.socket:
    """Return a connection to the socket at `path`, not blocking, which the caller closes.

    Waits for a place in the listener's queue; put a deadline around it.

    Raises:
        OSError: nobody listens, or access is denied.
    """
    await checkpoint()
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(0)
        while True:
            try:
                connection.connect(path)
            except BlockingIOError:
                await anyio.sleep(_QUEUE_PAUSE_SECONDS)
            else:
                return connection
    except BaseException:
        connection.close()
        raise
