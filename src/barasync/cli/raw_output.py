"""Bytes that we did not make, to our standard streams, from a thread that can be cancelled."""

from __future__ import annotations

import os
import select

from anyio.from_thread import check_cancelled

_LOOK_MILLISECONDS = 100
# A pipe that can be written at all takes as much without making the writer wait.
_PIPE_BYTES = select.PIPE_BUF


def write_raw(descriptor: int, data: bytes) -> None:
    """Write to a descriptor from a worker thread, which ends when it is cancelled, read or not.

    Not to a terminal: that says that it can be written, and then takes less than it is given.

    Raises:
        OSError: nobody reads any more (`BrokenPipeError`), or there is no room.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    rest = memoryview(data)
    while rest:
        while not poll.poll(_LOOK_MILLISECONDS):
            check_cancelled()
        rest = rest[os.write(descriptor, rest[:_PIPE_BYTES]) :]
