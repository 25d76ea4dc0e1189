"""Sessions of contract tests at the same time: what looks at the whole host has it for itself."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(directory: Path, *, alone: bool) -> Iterator[None]:
    """Hold the host for the block, with other sessions or `alone`.

    Whoever wants it alone gets it next: who comes later waits at the gate. Both locks are files in
    `directory`, and end with the process.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "host.lock").open("w") as host:
        with (directory / "gate.lock").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(host, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
