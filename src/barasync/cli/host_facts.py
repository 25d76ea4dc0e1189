"""What `barasync doctor` reads of this host; blocking, small files of `/proc` and `/sys`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from barasync.aiopodman.service_host import listener_pid
from barasync.config.load import find
from barasync.engine.network_hints import NONE_DOES_WITHOUT
from barasync.networks.hook_files import DEFAULT_DIRECTORY, HookFiles, damage
from barasync.networks.namespace import find_program

_SYSTEMD = 1
_UNLIMITED = 2**63 - 1
_UNENFORCED = (
    "without it no cell starts whose network is a preset, as `private` is by default, or a table,"
    f" and {NONE_DOES_WITHOUT}"
)
_PROGRAMS = {
    "git": "tells which files belong to the project; without it all of them do",
    "mmdebstrap": "makes images from Debian packages (package mmdebstrap)",
    "nft": f"loads the rules of networks (package nftables); {_UNENFORCED}",
    "nsenter": f"loads the rules of networks (package util-linux); {_UNENFORCED}",
    "iptables": "makes networks where podman's netavark takes it, as that of 4.3 does (package"
    f" iptables); without it no cell that has one starts there, and {NONE_DOES_WITHOUT}",
    "aardvark-dns": "answers cells that ask for names (package aardvark-dns); without it they get"
    " no answer, and cells do not find each other",
}
_OF_ROOT = frozenset({"nft", "nsenter", "iptables"})
# Source: containers.conf(5), helper_binaries_dir.
_OF_PODMAN = "/usr/local/libexec/podman:/usr/local/lib/podman:/usr/libexec/podman:/usr/lib/podman"


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """The limits of a process on open files."""

    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Space:
    """The room of a file system for this user, in bytes."""

    free: int
    total: int


@dataclass(frozen=True, slots=True)
class TaskLimit:
    """A limit on processes and threads, and how many of them there are."""

    name: str
    most: int
    used: int


@dataclass(frozen=True, slots=True)
class InstalledHook:
    """The OCI hook that root's podman finds; `damage` is what of it is not whole."""

    path: Path
    damage: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What can be known without a service; `programs` maps a name to its path and its purpose.

    `directory` is where the record of runs goes, `hook` is `None` where none is installed.
    """

    open_files: OpenFiles
    tasks: tuple[TaskLimit, ...]
    directory: str
    space: Space
    programs: Mapping[str, tuple[str | None, str]]
    hook: InstalledHook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """What can be seen of a service on this host; `None` where it cannot.

    `delegated` are the cgroup controllers that its user may pass on.
    """

    open_files: OpenFiles | None = None
    delegated: frozenset[str] | None = None
    space: Space | None = None


def host_facts(directory: Path, path: str | None) -> HostFacts:
    """Look at this host for a command in `directory`; `path` is where programs are looked for."""
    configuration = find(directory)
    runs = directory if configuration is None else configuration.parent
    return HostFacts(
        open_files=parse_open_files(_text(Path("/proc/self/limits"))) or OpenFiles(0, 0),
        tasks=_task_limits(),
        directory=str(runs),
        space=_space(runs) or Space(0, 0),
        programs={name: (_find(name, path), why) for name, why in _PROGRAMS.items()},
        hook=installed_hook(HookFiles(DEFAULT_DIRECTORY)),
    )


def installed_hook(files: HookFiles) -> InstalledHook | None:
    """Look at the hook of `barasync network install-hook` in a directory of hooks."""
    return InstalledHook(files.hook, damage(files)) if files.is_installed() else None


def _find(name: str, path: str | None) -> str | None:
    if name in _OF_ROOT:
        return find_program(name, path)
    return shutil.which(name, path=path) or shutil.which(name, path=_OF_PODMAN)


def service_facts(socket_path: str, graph_root: str) -> ServiceFacts:
    """Look at the process behind a socket of this host, its user's cgroups, and its storage."""
    pid = listener_pid(socket_path)
    # Where systemd listens, it has limits of its own.
    limits = "" if pid in {None, _SYSTEMD} else _text(Path(f"/proc/{pid}/limits"))
    return ServiceFacts(
        open_files=parse_open_files(limits),
        delegated=_delegated(Path(socket_path)),
        space=_space(Path(graph_root)),
    )


def parse_open_files(limits: str) -> OpenFiles | None:
    """Find the limits on open files in the text of `/proc/PID/limits`."""
    found = re.search(r"^Max open files\s+(\S+)\s+(\S+)", limits, re.MULTILINE)
    return None if found is None else OpenFiles(_number(found[1]), _number(found[2]))


def parse_cgroup(text: str, controller: str) -> str | None:
    """Find the place of a process in a hierarchy, in the text of `/proc/PID/cgroup`.

    That of `controller` in version 1, else that of version 2. Source: cgroups(7).
    """
    places = {}
    for line in text.splitlines():
        _, controllers, place = line.split(":", 2)
        places.update(dict.fromkeys(controllers.split(","), place))
    return places.get(controller, places.get(""))


def _task_limits() -> tuple[TaskLimit, ...]:
    """Return the limits that hold for this process: the kernel's, and those of its cgroups."""
    loads = _text(Path("/proc/loadavg")).split()
    used = int(loads[3].partition("/")[2]) if loads else 0
    limits = []
    for name in ("kernel.pid_max", "kernel.threads-max"):
        text = _text(Path("/proc/sys", *name.split("."))).strip()
        if text.isdigit():
            limits.append(TaskLimit(name, int(text), used))
    return (*limits, *_cgroup_limits())


def _cgroup_limits() -> tuple[TaskLimit, ...]:
    text = _text(Path("/proc/self/cgroup"))
    place = parse_cgroup(text, "pids")
    root = Path("/sys/fs/cgroup/pids" if ":pids:" in text else "/sys/fs/cgroup")
    if place is None:
        return ()
    limits = []
    directory = root / place.lstrip("/")
    while directory != root and directory.is_relative_to(root):
        most, current = (_text(directory / f"pids.{name}").strip() for name in ("max", "current"))
        if most.isdigit() and current.isdigit():
            limits.append(TaskLimit(f"{directory}/pids.max", int(most), int(current)))
        directory = directory.parent
    return tuple(limits)


def _delegated(socket_path: Path) -> frozenset[str] | None:
    """Return the controllers that systemd delegates to the user of a socket, on cgroup v2."""
    try:
        uid = socket_path.stat().st_uid
    except OSError:
        return None
    slices = Path(f"/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service")
    text = _text(slices / "cgroup.controllers")
    return frozenset(text.split()) if text else None


def _space(path: Path) -> Space | None:
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _UNLIMITED


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
