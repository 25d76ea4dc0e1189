"""QEMU's handlers, lent to the tests that run foreign programs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from barasync.images.emulation import Host, setup
from barasync.images.emulation.survey import read_registry
from barasync.matrix.platforms import Platform


@contextmanager
def lent(platforms: Sequence[Platform]) -> Iterator[None]:
    """Register what is missing for the block, and take back what was not there before."""
    host = Host.current()
    before = read_registry(host.binfmt)
    setup(platforms, host)
    try:
        yield
    finally:
        known = {handler.name for handler in before.handlers}
        for handler in read_registry(host.binfmt).handlers:
            if handler.name not in known:
                (host.binfmt / handler.name).write_text("-1")
        if not before.mounted:
            subprocess.run(["umount", host.binfmt], check=True)
