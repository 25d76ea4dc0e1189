"""A service whose first thread rests in the mounts of a container, on a real kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from barasync.aiopodman import Endpoint
from barasync.aiopodman.service_threads import thread_at_home
from barasync.cli.connect import Connection
from barasync.cli.sharing import require_shared
from barasync.config.schema import WorkspaceMode

# As Go does with the first thread of podman when that has copied files: the others stay.
_WANDERS = """
import os, subprocess, sys, threading
ending = threading.Event()
others = [threading.Thread(target=ending.wait) for _ in range(3)]
for each in others:
    each.start()
libc = __import__("ctypes").CDLL(None, use_errno=True)
assert libc.unshare(0x00020000) == 0
for words in (["--make-rprivate", "/"], ["-t", "tmpfs", "container", sys.argv[1]]):
    subprocess.run(["mount", *words], check=True)
print("ready", flush=True)
sys.stdin.read()
ending.set()
"""


@contextmanager
def wandering(hidden: Path) -> Iterator[int]:
    """Run a process whose first thread sees something else in the place of a directory."""
    command = [sys.executable, "-c", _WANDERS, str(hidden)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.stdin.close()
    assert process.returncode == 0


def test_what_a_service_sees_is_what_its_threads_at_home_see(tmp_path: Path) -> None:
    directory = tmp_path / "project"
    directory.mkdir()
    with wandering(directory) as process:
        service = SimpleNamespace(endpoint=Endpoint("unix:///s", "a test"), local=True, pid=process)
        first = Path(f"/proc/{process}/root/{directory}").stat()
        home = Path(f"/proc/{thread_at_home(process, 'mnt')}/root/{directory}").stat()
        require_shared(cast("Connection", service), directory, mode=WorkspaceMode.BIND)

    assert not os.path.samestat(first, directory.stat())
    assert os.path.samestat(home, directory.stat())
