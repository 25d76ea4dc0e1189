"""How often a cell ran out of its memory, on cgroup v1, by the kernel's own word.

There the kernel counts what it kills (`oom_kill` of `memory.oom_control`) in the container's own
cgroup only, and podman removes that as soon as the container has ended. But it also notifies, and
who has the limit is notified: so the cell's parent cgroup gets it too, a little below that of the
container, which the container can then never reach itself. The notice comes before the kill, thus
before the end of the container. Measured on podman 4.3.1 and 5.4.2, with Linux 6.18.

Source: the kernel's `Documentation/admin-guide/cgroup-v1/memory.rst`, "OOM Control".
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

_SLACK_BYTES = 8 * resource.getpagesize()
"""The most that is charged at once before something is killed (`PAGE_ALLOC_COSTLY_ORDER`).

It is charged to the container first: with less between the limits its own could be the one.
"""
_LIMITS = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")


class LimitNotices:
    """A limit on a cgroup, and the kernel's notices that its processes need more.

    Making it makes the cgroup, in `directory` of the memory hierarchy, if it is not there. `limit`,
    in bytes, is that of the container which will be made below it.

    Raises:
        OSError: this process may not, or the kernel has no such notices.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for name in _LIMITS:
            # The second one, for memory and swap together, is there where swap is accounted for.
            if (directory / name).exists():
                (directory / name).write_text(str(limit - _SLACK_BYTES), encoding="ascii")
        self._notices = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            self._subscribe(directory)
        except OSError:
            self.close()
            raise

    def count(self) -> int:
        """Return how often the kernel had to kill since the last call, while the cgroup is there.

        A process that was being killed may be counted again.
        """
        try:
            return os.eventfd_read(self._notices)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Take no more notices; the cgroup stays."""
        os.close(self._notices)

    def _subscribe(self, directory: Path) -> None:
        with (directory / "memory.oom_control").open("rb") as control:
            request = f"{self._notices} {control.fileno()}"
            (directory / "cgroup.event_control").write_text(request, encoding="ascii")
