"""Whose is this: the labels of a run, and whether the process behind them still lives.

A process ID alone is recycled; boot ID, PID namespace and start time together are not.

Containers, networks, volumes and secrets carry the labels themselves. A container inherits the
labels of its image, so a layer tells who made it under names of its own: what is made from a layer
is not taken for something of the run that made the layer.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

OWNER = "barasync."
"""What the name of every label of ours begins with."""

_MAKER = "barasync.maker."

RUN = f"{OWNER}run"
CELL = f"{OWNER}cell"
ATTEMPT = f"{OWNER}attempt"
WORKSPACE_MODE = f"{OWNER}workspace"
CACHES = f"{OWNER}caches"
MADE = f"{OWNER}made"
"""What a network has that somebody has made with `barasync network create`."""

PRESET = f"{OWNER}preset"
"""What such a network has for whom it is not `private`: the name of another preset."""

_HOST = f"{OWNER}host"
_BOOT = f"{OWNER}boot"
_NAMESPACE = f"{OWNER}pidns"
_PID = f"{OWNER}pid"
_START = f"{OWNER}start"

_CGROUP = "barasync-"
_NAME = re.compile(r"(?P<run>.+)\.(?P<namespace>\d{1,20})\.(?P<pid>\d{1,10})\.(?P<start>\d{1,20})")
_MACHINE_ID = Path("/etc/machine-id")
_DIGITS = 12

StartOf = Callable[[int], int | None]
"""Gives the start time of a process, as `start_time` does."""


class Liveness(Enum):
    """What is known of the process that made something."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process, identified so that no later process can be taken for it.

    `host` is the name of its machine, `namespace` the number of its PID namespace. `start` is its
    start time in clock ticks since boot (`/proc/PID/stat`, field 22).
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
            host=_host(),
            boot=Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
            namespace=str(Path("/proc/self/ns/pid").stat().st_ino),
            pid=pid,
            start=start,
        )

    def labels(self, run: str) -> dict[str, str]:
        """Return the labels of every container, network, volume and secret of `run`."""
        return {
            RUN: run,
            _HOST: self.host,
            _BOOT: self.boot,
            _NAMESPACE: self.namespace,
            _PID: str(self.pid),
            _START: str(self.start),
        }

    def maker_labels(self, run: str) -> dict[str, str]:
        """Return the labels of every image that `run` makes; `of_maker` reads them."""
        return {
            _MAKER + name.removeprefix(OWNER): value for name, value in self.labels(run).items()
        }

    def cgroup(self, run: str) -> str:
        """Return the name of the cgroup that holds the cells of `run`, which tells whose it is."""
        return _CGROUP + name_of(self.labels(run))

    def judge(self, labels: Mapping[str, str], start_of: StartOf) -> Liveness:
        """Tell whether the process that wrote `labels` still lives, as seen from this process.

        A process on another host, in a PID namespace that is not ours, or of another user where
        `/proc` hides those, cannot be judged from here.
        """
        if labels.get(_HOST) != self.host:
            return Liveness.UNKNOWN
        if labels.get(_BOOT) != self.boot:
            return Liveness.DEAD
        if labels.get(_NAMESPACE) != self.namespace:
            return Liveness.UNKNOWN
        try:
            alive = start_of(int(labels[_PID])) == int(labels[_START])
        except (KeyError, ValueError, PermissionError):
            return Liveness.UNKNOWN
        return Liveness.ALIVE if alive else Liveness.DEAD

    def of_cgroup(self, name: str) -> dict[str, str] | None:
        """Return the labels that the name of a cgroup stands for, `None` if it is no run's."""
        return self.of_name(name.removeprefix(_CGROUP)) if name.startswith(_CGROUP) else None

    def of_name(self, name: str) -> dict[str, str] | None:
        """Return the labels that `name_of` made a name of, `None` if it made none such.

        The name is of something that is on this host and gone with its next boot.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        return {
            RUN: found["run"],
            _HOST: self.host,
            _BOOT: self.boot,
            _NAMESPACE: found["namespace"],
            _PID: found["pid"],
            _START: found["start"],
        }


def name_of(labels: Mapping[str, str]) -> str:
    """Return the labels of a run as a name for what no other host has, nor this one later."""
    return ".".join(labels[label] for label in (RUN, _NAMESPACE, _PID, _START))


def of_maker(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of the run that made an image, from those of the image."""
    return {
        OWNER + name.removeprefix(_MAKER): value
        for name, value in labels.items()
        if name.startswith(_MAKER)
    }


def start_time(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Return the start time of a process in clock ticks since boot, `None` if there is none.

    A zombie counts as gone: it holds nothing any more. Source: proc(5), `/proc/pid/stat`.

    Raises:
        PermissionError: there is such a process, and `proc` does not show it: with the mount option
            `hidepid` only to its own user.
    """
    try:
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        if _exists(pid):
            raise PermissionError(f"process {pid} is hidden") from None
        return None
    # The command name is in parentheses and may hold anything, a parenthesis too.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def _exists(pid: int) -> bool:
    """Tell whether there is such a process, whoever it belongs to. Source: kill(2), signal 0."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def machine_word() -> str:
    """Return a word for this machine, empty where it has no ID, as in many a container.

    The ID itself is not for everybody to see. Source: machine-id(5).
    """
    try:
        machine = _MACHINE_ID.read_bytes().strip()
    except OSError:
        return ""
    return hashlib.sha256(b"barasync" + machine).hexdigest()[:_DIGITS]


def _host() -> str:
    """Return a word for this machine with its name in it: many are called `localhost`."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", socket.gethostname())
    return "-".join(filter(None, (name, machine_word())))
