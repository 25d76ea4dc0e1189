"""The runtime configuration of a container, by which it is told from the same one made anew.

Source: `saveSpec` in libpod, of podman 4.3.1 and 5.4.2, which takes config.json away and writes
another one at each making; conmon(8), `--bundle`; proc(5). Measured with both, and without root.
"""

from __future__ import annotations

import os
from pathlib import Path


class Bundle:
    """The directory of a container's runtime configuration, held open; `open_bundle` makes it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._made = self._state()

    def unchanged(self) -> bool:
        """Whether the container is proven to be as it was made at the opening; blocking."""
        return self._made is not None and self._made == self._state()

    def close(self) -> None:
        """Give the directory up."""
        os.close(self._descriptor)

    def _state(self) -> tuple[int, int] | None:
        """Return what tells one making from another: an inode alone is soon used again."""
        try:
            found = os.stat("config.json", dir_fd=self._descriptor)
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns


def open_bundle(proc: Path, pid: int) -> Bundle | None:
    """Open the bundle of the container whose first process is `pid`, `None` where none is found.

    Blocking; the caller closes it. The container's monitor names it, and sees it where podman does.
    """
    try:
        monitor = proc / parent(proc, pid)
        arguments = (monitor / "cmdline").read_bytes().split(b"\0")
        path = os.fsdecode(arguments[arguments.index(b"-b") + 1])
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        return Bundle(os.open(f"{monitor}/root/{path}", flags))
    except (OSError, ValueError, IndexError):
        return None


def parent(proc: Path, pid: int) -> str:
    """Return the number of a process's parent; blocking.

    Raises:
        OSError: there is no such process.
    """
    # The command name is in parentheses and may hold anything, a parenthesis too.
    return (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
