"""Which thread of a podman service is where the service is: not each of them always is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

Namespace = Literal["mnt", "net"]
"""A file of `/proc/PID/ns`, as in namespaces(7)."""


def thread_at_home(process: int, namespace: Namespace, *, proc: Path = Path("/proc")) -> int:
    """Return a thread that shares a namespace with most threads of a process; blocking.

    Podman takes one of its threads into a container's mount namespace to copy files, and into a
    network namespace for a moment to count its bytes (read in its source). That may be the first
    one, which `/proc/PID` is of. From the mounts Go never lets it come back: it rests there as long
    as the process lives (seen on 5.4.2, whose service had 19 threads at home and the first one in
    the root of a container that was long gone). `/proc` knows a thread by its ID as it does a
    process.

    Where no namespace can be read it is `process` itself.
    """
    found: dict[int, Path] = {}
    try:
        for task in (proc / str(process) / "task").iterdir():
            try:
                found[int(task.name)] = (task / "ns" / namespace).readlink()
            except FileNotFoundError:
                # It has ended meanwhile.
                continue
    except OSError:
        return process
    if not found:
        return process
    ((home, _),) = Counter(found.values()).most_common(1)
    # The first one while it is at home: it lives as long as the process. Else an old one.
    return process if found.get(process) == home else min(t for t in found if found[t] == home)
