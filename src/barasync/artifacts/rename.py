"""Renames that Python's library does not have: onto nothing, and two names for each other.

Source: renameat2(2); Linux 3.15, glibc 2.28.
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass

_NOREPLACE = 1
_EXCHANGE = 2
# What file systems and kernels say that do not have the flag.
_UNKNOWN = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Name:
    """A name in an open directory."""

    directory: int
    name: str


def move(source: Name, target: Name) -> None:
    """Give a file or directory another name that nothing has.

    Raises:
        FileExistsError: something has it; where the file system cannot tell, only if it was there
            a moment before.
        OSError: it cannot be renamed.
    """
    if _renamed(source, target, _NOREPLACE):
        return
    try:
        os.stat(target.name, dir_fd=target.directory, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(
            source.name, target.name, src_dir_fd=source.directory, dst_dir_fd=target.directory
        )
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.name)


def exchange(one: Name, other: Name) -> bool:
    """Let two files or directories change names in one step; `False` where that cannot be done.

    Raises:
        FileNotFoundError: one of the names has nothing.
        OSError: they cannot be renamed.
    """
    return _renamed(one, other, _EXCHANGE)


def _renamed(source: Name, target: Name, flags: int) -> bool:
    names = os.fsencode(source.name), os.fsencode(target.name)
    if _libc.renameat2(source.directory, names[0], target.directory, names[1], flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNKNOWN:
        return False
    raise OSError(code, os.strerror(code), target.name)
