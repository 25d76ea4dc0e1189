"""What a test or a service left behind on this host."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from time import monotonic

from tests.rig import libpod, networks

GRACE_SECONDS = 10.0
"""Conmon and podman's cleanup end shortly after a container; so long may they take."""

_POLL_SECONDS = 0.05

CGROUP_ROOT = Path("/sys/fs/cgroup")


def clear(directory: Path) -> list[str]:
    """Return what still belongs to a directory after the grace: processes, mounts, networks.

    Processes are ended here, and networks removed, so that one failing test does not become the
    failure of others.
    """
    end_pause_process(directory)
    end_exec_monitors(directory)
    place = networks.place_of(directory)
    found = settled(
        lambda: [
            *processes_of(directory),
            *mounts_below(directory),
            *(networks.left_of(place) if place else ()),
        ]
    )
    for pid in _processes_of(directory):
        for child in (*_children(pid), pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    if place is not None:
        networks.remove(place)
    return found


def of_runs(socket_path: str, directory: Path) -> list[str]:
    """Return what runs have made with the podman of a directory, as root, and is still there.

    That is its containers and networks, with bridges, rules, namespaces and names; servers of names
    that have none to serve; and tables of ours among the rules of this host itself.
    """
    place = networks.place_of(directory)
    assert place is not None, f"{directory} is of a podman without root"
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, check=True, text=True)
    return [
        *(f"container {name}" for name in libpod.containers(socket_path).values()),
        *(f"network {name}" for name in libpod.networks(socket_path) - {"podman"}),
        *networks.left_of(place),
        *networks.left_in_run(directory / "scratch/run"),
        *networks.idle_name_servers(directory),
        *(line for line in tables.stdout.splitlines() if line.endswith(" barasync")),
    ]


def _children(pid: int) -> list[int]:
    """Return the children of a process: a container's own process knows nothing of the rig."""
    with suppress(OSError):
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    return []


def settled(find: Callable[[], list[str]]) -> list[str]:
    """Return what is still found after the grace; empty as soon as nothing is found."""
    deadline = monotonic() + GRACE_SECONDS
    never = threading.Event()
    while (found := find()) and monotonic() < deadline:
        never.wait(_POLL_SECONDS)
    return found


def processes_of(directory: Path) -> list[str]:
    """Return the processes whose command line or environment names a directory, but not us."""
    return [f"process {pid}: {command}" for pid, command in _processes_of(directory).items()]


def _processes_of(directory: Path) -> dict[int, str]:
    needle = os.fsencode(directory)
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if needle in command or needle in (process / "environ").read_bytes():
                found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
    return {pid: command[:200] for pid, command in found.items() if pid != os.getpid()}


def end_exec_monitors(directory: Path) -> None:
    """End the monitors that exec sessions leave for five minutes (`EXEC_LEAVES_MONITORS`)."""
    for pid in exec_monitors(directory):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def exec_monitors(directory: Path, session: str = "") -> list[int]:
    """Return the monitors of exec sessions with the podman of a directory, or of one session."""
    needles = (os.fsencode(directory), b"--exec-process-spec", session.encode())
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if all(needle in command for needle in needles):
                found.append(int(process.name))
    return found


def mounts_below(directory: Path) -> list[str]:
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [f"mount {point}" for point in points if Path(point).is_relative_to(directory)]


def cgroups(runs: Collection[str]) -> list[str]:
    """Return the cgroups that were made for some runs, given by their IDs."""
    roots = (CGROUP_ROOT, *CGROUP_ROOT.glob("*/"))
    return [str(path) for root in roots for run in runs for path in root.glob(f"barasync-{run}.*")]


def clear_cgroups(runs: Collection[str]) -> list[str]:
    """Return the cgroups of some runs that are still there after the grace, and remove them.

    A run that was killed, with the tests or by them, leaves its own; whatever is in them is ended.
    """
    found = settled(lambda: cgroups(runs))
    for directory in map(Path, found):
        for tasks in directory.rglob("cgroup.procs"):
            for pid in map(int, tasks.read_text().split()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    settled(lambda: [path for path in found if not _removed(Path(path))])
    return found


def _removed(cgroup: Path) -> bool:
    """Remove a cgroup with those below it; tell whether it is gone."""
    below = sorted(path for path in cgroup.rglob("*") if path.is_dir())
    for directory in (*reversed(below), cgroup):
        with suppress(OSError):
            directory.rmdir()
    return not cgroup.exists()


def network_namespaces() -> set[str]:
    """Return the files of networks of this host that are no mount of any process."""
    seen = set[str]()
    mounted = set[str]()
    for process in Path("/proc").glob("[0-9]*"):
        # It may end meanwhile.
        with suppress(OSError):
            namespace = str((process / "ns/mnt").readlink())
            if namespace not in seen:
                lines = (process / "mountinfo").read_text().splitlines()
                mounted.update(line.split()[4] for line in lines)
                seen.add(namespace)
    return {str(path) for path in networks.NAMESPACES.glob("*") if str(path) not in mounted}


def clear_network_namespaces(before: Collection[str]) -> list[str]:
    """Return the files of networks that became nobody's, still after the grace; remove them."""
    found = settled(lambda: sorted(network_namespaces().difference(before)))
    for path in map(Path, found):
        path.unlink(missing_ok=True)
    return found


def unmount_storage(directory: Path) -> None:
    """Unmount what podman keeps mounted for as long as the host runs: its storage, on itself."""
    storage = directory / "graph/overlay"
    if f"mount {storage}" in mounts_below(directory):
        subprocess.run(["umount", storage], check=True)


def end_pause_process(directory: Path) -> None:
    """End the process that rootless podman keeps for the user's next command."""
    for pid, command in _processes_of(directory).items():
        if command.split()[:2] == ["catatonit", "-P"]:
            os.kill(pid, signal.SIGTERM)
