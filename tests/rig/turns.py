"""Sessions of contract tests at the same time: what looks at the whole host has it for itself."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_SECONDS = 60.0


@contextmanager
def turn(
    directory: Path,
    *,
    alone: bool,
    tell: Callable[[str], None],
    wait_seconds: float = WAIT_SECONDS,
) -> Iterator[None]:
    """Hold the host for the block, with other sessions or `alone`.

    Whoever wants it alone gets it next: who comes later waits at the gate. Both locks are files in
    `directory`, and end with the process. After `wait_seconds` it is told, on another thread, which
    processes are waited for.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = (directory / "host.lock", directory / "gate.lock")
    with paths[0].open("w") as host:
        waiting = threading.Timer(wait_seconds, lambda: tell(f"waiting for {_holders(*paths)}"))
        waiting.daemon = True
        waiting.start()
        try:
            with paths[1].open("w") as gate:
                fcntl.flock(gate, fcntl.LOCK_EX)
                fcntl.flock(host, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            waiting.cancel()
        yield


def _holders(*paths: Path) -> str:
    """Name the other processes that have one of the locks. Source: proc(5), `/proc/locks`."""
    files = {path.stat().st_ino for path in paths}
    found = set()
    for line in Path("/proc/locks").read_text().splitlines():
        # "1: FLOCK  ADVISORY  WRITE 6 08:01:42 0 EOF"; one that waits has "->" before its kind.
        _, kind, _, _, pid, file, *_ = line.split()
        if kind == "FLOCK" and int(file.rpartition(":")[2]) in files:
            found.add(int(pid))
    others = sorted(found - {os.getpid()})
    return ", ".join(f"process {pid}" for pid in others) or "tests of this process"
