"""Whose container is this: the labels of a run, and whether the process behind them still lives.

A process ID alone is recycled; boot ID, PID namespace and start time together are not.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

RUN = "barasync.run"
CELL = "barasync.cell"
ATTEMPT = "barasync.attempt"

_HOST = "barasync.host"
_BOOT = "barasync.boot"
_NAMESPACE = "barasync.pidns"
_PID = "barasync.pid"
_START = "barasync.start"

_CGROUP = re.compile(r"barasync-(?P<run>.+)\.(?P<pid>\d{1,10})\.(?P<start>\d{1,20})")


class Liveness(Enum):
    """What the labels of a container tell about the process that made it."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process, identified so that no later process can be taken for it.

    `start` is the process's start time in clock ticks since boot (`/proc/PID/stat`, field 22).
    """

    host: str
    boot: str
    namespace: str
    pid: int
    start: int

    @classmethod
    def current(cls) -> Identity:
        """Identify this process (reads `/proc`)."""
        pid = os.getpid()
        start = start_time(pid)
        assert start is not None, "this process is running"
        return cls(
            host=socket.gethostname(),
            boot=Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
            namespace=str(Path("/proc/self/ns/pid").readlink()),
            pid=pid,
            start=start,
        )

    def labels(self, run: str) -> dict[str, str]:
        """Return the labels that everything made by `run` carries."""
        return {
            RUN: run,
            _HOST: self.host,
            _BOOT: self.boot,
            _NAMESPACE: self.namespace,
            _PID: str(self.pid),
            _START: str(self.start),
        }

    def cgroup(self, run: str) -> str:
        """Return the name of the cgroup that holds the cells of `run`, which tells whose it is."""
        return f"barasync-{run}.{self.pid}.{self.start}"

    def judge(self, labels: Mapping[str, str], start_of: Callable[[int], int | None]) -> Liveness:
        """Tell whether the process that wrote `labels` still lives, as seen from this process.

        `start_of` gives the start time of a PID, `None` when there is no such process. A process
        on another host, or in a PID namespace that is not ours, cannot be judged from here.
        """
        if labels.get(_HOST) != self.host:
            return Liveness.UNKNOWN
        if labels.get(_BOOT) != self.boot:
            return Liveness.DEAD
        if labels.get(_NAMESPACE) != self.namespace:
            return Liveness.UNKNOWN
        try:
            pid, start = int(labels[_PID]), int(labels[_START])
        except (KeyError, ValueError):
            return Liveness.UNKNOWN
        return Liveness.ALIVE if start_of(pid) == start else Liveness.DEAD


def run_of_cgroup(name: str, start_of: Callable[[int], int | None]) -> tuple[str, Liveness] | None:
    """Return the run that a cgroup was made for and whether its process lives; `None` if none was.

    There are no cgroups from before the last boot. One of another PID namespace may be taken for
    dead, which does no harm: only an empty cgroup can be removed.
    """
    found = _CGROUP.fullmatch(name)
    if found is None:
        return None
    alive = start_of(int(found["pid"])) == int(found["start"])
    return found["run"], Liveness.ALIVE if alive else Liveness.DEAD


def start_time(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot, `None` if there is none.

    A zombie counts as gone: it holds nothing any more. Source: proc(5), `/proc/pid/stat`.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name is in parentheses and may hold anything, a parenthesis too.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])
