"""When a file was made, which Python's library does not tell.

Source: statx(2); Linux 4.11, glibc 2.28.
"""

from __future__ import annotations

import ctypes
from struct import Struct

_SELF = 0x1000  # AT_EMPTY_PATH
_BIRTH = 0x800  # STATX_BTIME
_BYTES = 256
_TIME = Struct("=I76xqI")

_libc = ctypes.CDLL(None)


def birth(descriptor: int) -> int | None:
    """Return when an open file was made, in nanoseconds by the clock of its file system.

    No program can change it. `None` where the file system does not keep it.
    """
    answer = ctypes.create_string_buffer(_BYTES)
    if _libc.statx(descriptor, b"", _SELF, _BIRTH, answer) != 0:
        return None
    known, seconds, nanoseconds = _TIME.unpack_from(answer)
    return int(seconds) * 1_000_000_000 + int(nanoseconds) if known & _BIRTH else None
