"""A stand-in for conmon's end of attach, which decides when the connection is accepted."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from barasync.aiopodman import Container, Stream
from tests.rig.services import RigService


class Monitor:
    """Listens where podman connects when it attaches to a container that was initialised."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    @classmethod
    @contextmanager
    def in_place_of_conmon(cls, service: RigService, container: Container) -> Iterator[Monitor]:
        """Take the place of a container's conmon for connections to come."""
        directory = service.directory / "graph/overlay-containers" / container.id / "userdata"
        (directory / "attach").unlink()
        with (
            closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as listener,
            _short_name(directory) as name,
        ):
            listener.bind(str(name / "attach"))
            listener.listen(1)
            yield cls(listener)

    def pass_on(self, stream: Stream, data: bytes) -> None:
        """Accept the connection, send some output, and close it."""
        connection, _ = self._listener.accept()
        with connection:
            # Conmon numbers the streams from 2: stdin is a pipe of its own.
            connection.send(bytes([stream + 1]) + data)

    def close(self) -> None:
        """Refuse the connection that was not accepted, as the kernel does when conmon ends."""
        self._listener.close()


@contextmanager
def _short_name(directory: Path) -> Iterator[Path]:
    """Name a directory within the 108 bytes of a socket's address."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
