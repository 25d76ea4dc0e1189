"""The TCP ports at which something listens in the network namespace of a container.

Read from outside, so that the container's image need not have a program that could tell, and no
connection is made that a server would wonder about.

Source: proc_pid_net(5), `net/ipv4/tcp_ipv4.c` of the kernel, which lists what listens before all
connections; read through an open file also once the process has ended (measured with Linux 6.18).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from anyio import to_thread

from barasync.errors import EngineUnavailable
from barasync.networks.namespace import is_of_container

_PROC = Path("/proc")
# Without IPv6 there is no second one.
_FILES = ("tcp", "tcp6")
_LISTENS = "0A"
_ADDRESS, _STATE = 1, 3
_AT_ONCE = 16 * 1024
_MOST = 256 * 1024
"""Bytes that are read of a file: some 1,700 listeners in a namespace."""


class ListenersUnknown(EngineUnavailable):
    """Nobody can tell from here where something listens in a container."""


class Listening(Protocol):
    """A network namespace; see `Listeners`."""

    async def ports(self) -> frozenset[int]:
        """Return the TCP ports at which something listens by now."""


Listen = Callable[[int, str], AbstractAsyncContextManager[Listening]]
"""Looks into the namespace of a container, known by its first process and ID; see `listeners`."""


class Listeners:
    """The network namespace of a container, of which `listeners` has files open."""

    def __init__(self, files: Sequence[int]) -> None:
        self._files = files

    async def ports(self) -> frozenset[int]:
        """Return the TCP ports at which something listens by now, at whatever address.

        Raises:
            ListenersUnknown: the kernel does not tell.
        """
        try:
            return await to_thread.run_sync(self._ports)
        except OSError as error:
            raise ListenersUnknown(f"what listens cannot be read: {error.strerror}") from error

    def _ports(self) -> frozenset[int]:
        return frozenset().union(*(listening(_beginning(each)) for each in self._files))


def listening(text: str) -> frozenset[int]:
    """Return the ports of what listens, of the lines at the beginning of such a file."""
    ports = set()
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) <= _STATE or words[_STATE] != _LISTENS:
            break
        ports.add(int(words[_ADDRESS].rpartition(":")[2], 16))
    return frozenset(ports)


@asynccontextmanager
async def listeners(pid: int, container_id: str) -> AsyncIterator[Listeners]:
    """Look into the network namespace of a container whose first process is `pid`, for the block.

    The process need not live on. That it is the container's is proven as in `namespace.enter`.

    Raises:
        ListenersUnknown: it cannot be seen from here, or is not known to be the container's.
    """
    opened, files = await to_thread.run_sync(_open, pid, container_id)
    with opened:
        yield Listeners(files)


def _open(pid: int, container_id: str) -> tuple[ExitStack, list[int]]:
    """Open the files, which the caller closes by the stack; the proof comes after the opening."""
    files = []
    with ExitStack() as stack:
        for name in _FILES:
            try:
                files.append(os.open(_PROC / str(pid) / "net" / name, os.O_RDONLY))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ListenersUnknown(f"process {pid}: {error.strerror}") from error
            stack.callback(os.close, files[-1])
        if not files:
            raise ListenersUnknown(f"no process {pid} can be seen from here")
        if not is_of_container(_PROC, pid, container_id):
            raise ListenersUnknown(f"process {pid} is not known to be the container's")
        return stack.pop_all(), files


def _beginning(file: int) -> str:
    """Read as much as has what listens, from the start."""
    os.lseek(file, 0, os.SEEK_SET)
    text = ""
    while len(text) < _MOST and (data := os.read(file, _AT_ONCE)):
        text += data.decode("ascii", errors="replace")
        words = text.rpartition("\n")[0].rpartition("\n")[2].split()
        if len(words) > _STATE and words[_STATE] not in {_LISTENS, "st"}:
            break
    return text
