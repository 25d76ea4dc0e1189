"""What a cell consumed, read from a cgroup of its own after the container is gone.

Each cell's container is created below a parent cgroup, `/barasync-<run>.<process>/<cell>`, that
outlives the container's own and holds nothing else (`ContainerSpec.monitor_stays`). Its
hierarchical counters keep what the dead child used, so the figures are exact and need no sampling.
Works with the cgroupfs manager on cgroup v1 and v2 where this process sees the host's cgroups;
measured on podman 4.3.1 and 5.4.2.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from barasync.engine.oom import LimitNotices
from barasync.matrix.outcome import Usage

_NANOSECONDS = 1e9
_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class CgroupMounts:
    """Where the cgroup hierarchies are mounted: `v1` by controller, `v2` the unified one."""

    v1: tuple[tuple[str, Path], ...]
    v2: Path | None

    @property
    def roots(self) -> tuple[Path, ...]:
        """Every mount point a container manager may have made a cgroup below."""
        paths = [path for _, path in self.v1]
        if self.v2 is not None:
            paths.append(self.v2)
        return tuple(dict.fromkeys(paths))

    def controller(self, name: str) -> Path | None:
        """Return the mount point of a v1 controller."""
        return dict(self.v1).get(name)


def parse_mounts(mountinfo: str) -> CgroupMounts:
    """Find the cgroup mounts in the text of `/proc/self/mountinfo`.

    Source: proc(5); the fields after the separator `-` are type, source and super options.
    """
    v1: list[tuple[str, Path]] = []
    v2: Path | None = None
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        if not separator:
            continue
        kind, _, options = after.split(" ", 2)
        mount_point = Path(before.split(" ")[4])
        if kind == "cgroup2":
            v2 = v2 or mount_point
        elif kind == "cgroup":
            v1.extend((option, mount_point) for option in options.split(","))
    return CgroupMounts(v1=tuple(v1), v2=v2)


@dataclass(frozen=True, slots=True)
class RunCgroup:
    """The cgroup that holds the cells of a run; `name` stands at the root of every hierarchy."""

    mounts: CgroupMounts
    name: str

    @property
    def directories(self) -> tuple[Path, ...]:
        """Where it is in each hierarchy, if it is there."""
        return tuple(root / self.name for root in self.mounts.roots)

    def of_attempt(self, name: str) -> CellCgroup:
        """Return the cgroup of an attempt, below this one."""
        return CellCgroup(self.mounts, f"/{self.name}/{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a cgroup tells after its container is gone.

    `oom_kills` is above 0 if the kernel killed processes for lack of memory, and about how many;
    `None` if that is not known. On cgroup v1 only the cell's own limit counts, not what the whole
    host may have lacked.
    """

    usage: Usage = field(default_factory=Usage)
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class CellCgroup:
    """The parent cgroup of one attempt; `path` is absolute within every hierarchy."""

    mounts: CgroupMounts
    path: str

    def limit(self, memory_bytes: int | None) -> LimitNotices | None:
        """Limit the memory of all that will be in it, where it takes that to see kills; blocking.

        Returns `None` where there is no limit, nothing to be seen, or no need, as on cgroup v2.
        """
        memory = self.mounts.controller("memory")
        if memory is None or memory_bytes is None:
            return None
        try:
            return LimitNotices(self._at(memory), memory_bytes)
        except OSError:
            return None

    def read(self, notices: LimitNotices | None = None) -> Reading:
        """Read the counters; blocking, a few small files.

        Returns figures marked exact, or an empty `Reading` where no hierarchy shows the cgroup.
        """
        memory = self.mounts.controller("memory")
        if memory is not None and self._at(memory).is_dir():
            kills = None if notices is None else notices.count()
            return Reading(usage=self._usage_v1(self._at(memory)), oom_kills=kills)
        if self.mounts.v2 is not None and self._at(self.mounts.v2).is_dir():
            directory = self._at(self.mounts.v2)
            kills = _keyed(directory / "memory.events").get("oom_kill")
            return Reading(usage=_usage_v2(directory), oom_kills=kills)
        return Reading()

    def remove(self) -> None:
        """Remove it with what podman left below it; blocking. A cgroup still in use stays."""
        for root in self.mounts.roots:
            remove_tree(self._at(root))

    def _usage_v1(self, memory: Path) -> Usage:
        cpu = self.mounts.controller("cpuacct")
        times = ("cpuacct.usage", "cpuacct.usage_user", "cpuacct.usage_sys")
        total, user, system = (_number(self._at(cpu) / name) if cpu else None for name in times)
        if total is not None and user is not None and system is not None:
            user, system = _split(total, user, system)
        return _usage(
            _number(memory / "memory.max_usage_in_bytes"), (total, user, system), _NANOSECONDS
        )

    def _at(self, root: Path) -> Path:
        return root / self.path.lstrip("/")


def _usage_v2(directory: Path) -> Usage:
    times = _keyed(directory / "cpu.stat")
    total, user, system = map(times.get, ("usage_usec", "user_usec", "system_usec"))
    return _usage(_number(directory / "memory.peak"), (total, user, system), _MICROSECONDS)


def _usage(peak: int | None, times: tuple[int | None, ...], per_second: float) -> Usage:
    """Make figures of what was read; they are exact if peak and time are both there.

    There is no `memory.peak` before Linux 5.19.
    """
    total, user, system = (None if time is None else time / per_second for time in times)
    return Usage(
        peak_memory_bytes=peak,
        cpu_seconds=total,
        user_seconds=user,
        system_seconds=system,
        exact=peak is not None and total is not None,
    )


def _split(total: int, user: int, system: int) -> tuple[int, int]:
    """Divide a time as its two parts were counted: in ticks, so that they need not add up to it.

    On v2 the kernel does that itself. Source: `cputime_adjust` of its `kernel/sched/cputime.c`.
    """
    counted = user + system
    system = total * system // counted if counted else 0
    return total - system, system


def members(directories: Iterable[Path]) -> frozenset[int]:
    """Return the processes in these cgroups and below them; blocking.

    A process of a PID namespace that is not visible here reads as 0 and is left out.
    """
    found: set[int] = set()
    for directory in directories:
        for file in directory.rglob("cgroup.procs"):
            with suppress(OSError):
                found.update(map(int, file.read_text(encoding="ascii").split()))
    return frozenset(found - {0})


def remove_tree(directory: Path) -> None:
    """Remove a cgroup and the empty cgroups below it; one in use, or already gone, is left."""
    children: Iterable[Path] = ()
    with suppress(FileNotFoundError, NotADirectoryError):
        children = [child for child in directory.iterdir() if child.is_dir()]
    for child in children:
        remove_tree(child)
    with suppress(OSError):
        os.rmdir(directory)  # noqa: PTH106 - the system call is the meaning: cgroups are not files


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _keyed(path: Path) -> dict[str, int]:
    """Return the numbers of a file by their names; empty where it cannot be read."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return {key: int(value) for key, value in map(str.split, lines)}
    except (OSError, ValueError):
        return {}
