"""A copy of a file that was just extracted, where the file system makes no link to it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator

from barasync.artifacts.errors import RefusedMember

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
EXCHANGED = "its target was exchanged by another process"
# Another process may have put a pipe there.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE_BYTES = 1 << 20


def duplicate(
    source: tuple[int, bytes], target: tuple[int, bytes], inode: int, pause: Callable[[], None]
) -> int:
    """Copy a file with its holes, its mode and its time, and return the inode of the copy.

    Both are a name in an open directory. `pause` is called for every MiB, and may end this with an
    exception; then, and at an error, a part of the copy is left.

    Raises:
        RefusedMember: the source is not the file with this inode.
        OSError: it cannot be read, or the target cannot be made.
    """
    reading = os.open(source[1], _READ, dir_fd=source[0])
    try:
        status = os.fstat(reading)
        if status.st_ino != inode or not stat.S_ISREG(status.st_mode):
            raise RefusedMember(EXCHANGED)
        writing = os.open(target[1], CREATE, 0o600, dir_fd=target[0])
        try:
            _copy(reading, writing, status.st_size, pause)
            os.fchmod(writing, stat.S_IMODE(status.st_mode))
            os.utime(writing, ns=(status.st_mtime_ns, status.st_mtime_ns))
            return os.fstat(writing).st_ino
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy(source: int, target: int, size: int, pause: Callable[[], None]) -> None:
    for start, end in _stored(source, size):
        os.lseek(target, start, os.SEEK_SET)
        position = start
        # A file that another process makes shorter meanwhile ends sooner.
        while data := os.pread(source, min(_PIECE_BYTES, end - position), position):
            position += len(data)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(target, rest) :]
            pause()
    os.ftruncate(target, size)


def _stored(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Give the parts of a file that are no holes, each as its start and end."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # a hole up to the end
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end
