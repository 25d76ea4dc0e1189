"""A service of its own whose storage is small."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.rig import leftovers, services
from tests.rig.services import Installation, RigService


@contextmanager
def cramped(installation: Installation, room: int) -> Iterator[RigService]:
    """Run a service whose storage has `room` bytes in all; nothing of it is left."""
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        graph = directory / "graph"
        graph.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "rig", graph], check=True)
        try:
            service = services.start(installation, environ, directory)
            try:
                yield service
            finally:
                services.stop(service)
                leftovers.clear(directory)
        finally:
            leftovers.unmount_storage(directory)
            subprocess.run(["umount", graph], check=True)
