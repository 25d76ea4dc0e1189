"""What a host asks of the podman service that runs on it: hybrid cgroups and low hard limits.

Two kinds of hosts, often the same ones (small virtual machines, containers, CI runners), make
podman fail with its default settings although nothing is wrong with podman:

- *Hybrid cgroups*: version 1 controllers, and a version 2 hierarchy at `/sys/fs/cgroup/unified`
  that has controllers too. crun then refuses to run anything ("cgroups in hybrid mode not
  supported"), rootful and rootless. It is content when it does not see that mount.
- *Low hard limits without CAP_SYS_RESOURCE*: podman 4 gives a container 1048576 open files, which
  is more than it may ("crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted"). Measured on
  4.3.1: the container must be created with `r_limits` for `nofile` *and* `nproc`, since naming one
  takes the default of the other away, and nothing above the service's own hard limit is accepted.
  5.4.2, and 4.3.1 without root, stay within their own limits by themselves.

The decisions are functions of the text of files in /proc; below them are those that read the files.
"""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from barasync.aiopodman.spec import Rlimit

_CGROUP_ROOT = "/sys/fs/cgroup"

UNIFIED_MOUNT = f"{_CGROUP_ROOT}/unified"
"""The only place where crun looks for a second hierarchy (`libcrun_get_cgroup_mode`)."""

PODMAN_DEFAULT_LIMIT = 1048576
"""What podman asks for when nobody says anything else (`RLimitDefaultValue`)."""

# Podman 4 lowers its own limit to this when it starts, and gives it to containers by default. The
# listener of a socket may be another process (systemd, or whoever made a private service), whose
# limit is still the higher one.
_MOST_PROCESSES = 32768

_CAP_SYS_RESOURCE = 24
_LIMITS = {
    "nofile": ("Max open files", PODMAN_DEFAULT_LIMIT),
    "nproc": ("Max processes", _MOST_PROCESSES),
}
# proc_pid_mountinfo(5): the fifth field of a line.
_MOUNT_POINT = 4
# unix(7): struct ucred, the process ID, user ID and group ID of the other side.
_UCRED = struct.Struct("iII")
_WHOLE_RANGE = ["0", "0", "4294967295"]


@dataclass(frozen=True, slots=True)
class Cover:
    """A mount point that the service must not see, and the directory to bind over it."""

    mount_point: str
    source: str


def cgroup_cover(mountinfo: str, *, controllers: str) -> Cover | None:
    """Return what to put over the second hierarchy, `None` where crun runs as things are.

    Over it goes a hierarchy of version 1, where crun makes the container's cgroup anyway. With
    anything else (nothing, or an empty file system) crun takes the place for a hierarchy and leaves
    a directory in it for every container.

    Args:
        mountinfo: The text of `/proc/self/mountinfo`.
        controllers: The text of `cgroup.controllers` in `UNIFIED_MOUNT`, empty where there is none.
    """
    types = _cgroup_mounts(mountinfo)
    first_versions = sorted(point for point, kind in types.items() if kind == "cgroup")
    if types.get(UNIFIED_MOUNT) != "cgroup2" or not controllers.strip() or not first_versions:
        return None
    usual = f"{_CGROUP_ROOT}/pids"
    return Cover(UNIFIED_MOUNT, usual if usual in first_versions else first_versions[0])


def _cgroup_mounts(mountinfo: str) -> dict[str, str]:
    """Return the type of what is seen at each mount point below the root of the cgroups."""
    types = {}
    for line in mountinfo.splitlines():
        place, _, source = line.partition(" - ")
        fields = place.split()
        if len(fields) > _MOUNT_POINT and fields[_MOUNT_POINT].startswith(f"{_CGROUP_ROOT}/"):
            types[fields[_MOUNT_POINT]] = source.partition(" ")[0]
    return types


def rlimits_for(*, limits: str, status: str, uid_map: str) -> tuple[Rlimit, ...]:
    """Return the limits a container has to be created with so that this service can start it.

    Empty where podman's defaults are within what the service may set. The arguments are the texts
    of `limits`, `status` and `uid_map` in the `/proc/PID` of the service.
    """
    if _may_raise_limits(status, uid_map):
        return ()
    needed = []
    for name, (title, most) in _LIMITS.items():
        hard = _hard_limit(limits, title)
        if hard is not None and hard < PODMAN_DEFAULT_LIMIT:
            limit = min(hard, most)
            needed.append(Rlimit(name, soft=limit, hard=limit))
    return tuple(needed)


def _may_raise_limits(status: str, uid_map: str) -> bool:
    """Whether setrlimit(2) lets it go beyond a hard limit; capabilities count on the host only."""
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    if effective is None or uid_map.split() != _WHOLE_RANGE:
        return False
    return bool(int(effective[1], 16) >> _CAP_SYS_RESOURCE & 1)


def _hard_limit(limits: str, title: str) -> int | None:
    found = re.search(rf"^{title}\s+\S+\s+(\d+)\s", limits, re.MULTILINE)
    return int(found[1]) if found else None


def find_cgroup_cover() -> Cover | None:
    """Apply `cgroup_cover` to this host."""
    return cgroup_cover(
        _text(Path("/proc/self/mountinfo")),
        controllers=_text(Path(UNIFIED_MOUNT, "cgroup.controllers")),
    )


def service_rlimits(pid: int) -> tuple[Rlimit, ...]:
    """Apply `rlimits_for` to a running service; empty when the process cannot be looked at."""
    process = Path("/proc") / str(pid)
    return rlimits_for(
        limits=_text(process / "limits"),
        status=_text(process / "status"),
        uid_map=_text(process / "uid_map"),
    )


def listener_pid(socket_path: str) -> int | None:
    """Return the process that listens on a Unix socket; where podman starts on demand, systemd.

    `None` when nobody listens, or one that cannot be seen from here. Source: unix(7), SO_PEERCRED.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(socket_path)
        except OSError:
            return None
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, _, _ = _UCRED.unpack(credentials)
    return int(pid) or None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
