"""Network namespaces that are gone with the thread that lives in them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


class Namespace:
    """A network namespace, with one thread in it."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self.thread_id = self.run(threading.get_native_id)

    def run(self, function: Callable[[], T]) -> T:
        """Call a function in the namespace: sockets and processes that it makes are in there."""
        return self.later(function).result()

    def later(self, function: Callable[[], T]) -> Future[T]:
        """Begin to call a function in the namespace, behind what is to be called already."""
        return self._thread.submit(function)

    def command(
        self, arguments: Sequence[str], text: str = ""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program in the namespace."""
        return self.run(
            lambda: subprocess.run(
                arguments, input=text.encode(), capture_output=True, check=False, timeout=30
            )
        )

    def ip(self, batch: str) -> None:
        """Run commands of ip(8), one a line."""
        done = self.command(("ip", "-batch", "-"), batch)
        assert done.returncode == 0, done.stderr.decode()


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a namespace in which the loopback interface is up, and anybody may ping.

    Addresses are of use at once: there is no look for duplicates of them.
    """

    def enter() -> None:
        if _LIBC.unshare(_CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        # Of the namespace of the thread that opens them.
        Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647")
        for interfaces in ("all", "default"):
            Path("/proc/sys/net/ipv6/conf", interfaces, "accept_dad").write_text("0")

    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(enter).result()
        made = Namespace(thread)
        made.ip("link set lo up")
        yield made
