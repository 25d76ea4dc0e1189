"""A temporary directory, and a program that works in it, which never outlive us.

A *watcher*, a shell in a session of its own, holds the other end of a pipe to us. The kernel closes
our end when we let go or are dead, by whatever signal; the watcher then kills what is left of the
program's process group and removes the directory. So an ordinary end and the death of our process
take the same path. Processes that leave the group are in namespaces of mmdebstrap's, and end with
the first process of these.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
from anyio import to_thread
from anyio.abc import Process

from barasync.images.bootstrap.recipe import Mode

TERMINATE_SECONDS = 2.0
"""Enough for apt; the first process of a namespace is deaf to SIGTERM, and has nothing to save."""
_KILL_SECONDS = 5.0
_REMOVE_SECONDS = 120.0

# The group is there as long as one of its processes is; a parent that does not wait for its
# children must not keep us for ever. In a user namespace the files may belong to subordinate IDs,
# which only another such namespace can touch; the directory itself is this user's.
_WATCHER = """
directory=$1 mode=$2
read -r group
read -r _
if [ -n "$group" ]; then
    polls=200
    while kill -s KILL -- "-$group" && [ "$polls" -gt 0 ]; do
        polls=$((polls - 1))
        sleep 0.05
    done
fi
remove="rm --recursive --force --one-file-system --"
if [ "$mode" = unshare ]; then
    mmdebstrap --unshare-helper $remove "$directory"
fi
$remove "$directory"
"""

# Waits until the watcher knows of it.
_PRELUDE = 'read -r _ && exec "$@" </dev/null'


class Guard:
    """A directory for temporary files, and its watcher; `guarded` makes one."""

    def __init__(self, directory: Path, watcher: Process) -> None:
        self.directory = directory
        self._watcher = watcher

    @asynccontextmanager
    async def process(self, argv: Sequence[str], output: int) -> AsyncIterator[Process]:
        """Run a program for the block, once; its standard error is a pipe, `output` a descriptor.

        At the end, or when cancelled, its whole group is ended: SIGTERM, later SIGKILL.
        """
        process = await anyio.open_process(
            ["sh", "-c", _PRELUDE, "barasync-bootstrap", *argv],
            stdin=PIPE,
            stdout=output,
            stderr=PIPE,
            start_new_session=True,
        )
        try:
            assert self._watcher.stdin is not None, "it was asked for"
            await self._watcher.stdin.send(f"{process.pid}\n".encode())
            assert process.stdin is not None, "it was asked for"
            await process.stdin.send(b"\n")
            await process.stdin.aclose()
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)
                await process.aclose()


@asynccontextmanager
async def guarded(mode: Mode, on_problem: Callable[[str], None]) -> AsyncIterator[Guard]:
    """Make a temporary directory for the block, and remove it with everything that is in it.

    Whatever is mounted in it is let alone. `on_problem` hears a line where it cannot be removed.
    """
    directory = await to_thread.run_sync(_make_directory)
    argv = ["sh", "-c", _WATCHER, "barasync-bootstrap-watcher", str(directory), mode]
    # A cancellation here would leave the directory without a watcher.
    with anyio.CancelScope(shield=True):
        watcher = await anyio.open_process(
            argv, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, cwd="/", start_new_session=True
        )
    try:
        yield Guard(directory, watcher)
    finally:
        with anyio.CancelScope(shield=True):
            assert watcher.stdin is not None, "it was asked for"
            await watcher.stdin.aclose()
            with anyio.move_on_after(_REMOVE_SECONDS):
                await watcher.wait()
            if await to_thread.run_sync(directory.exists):
                on_problem(f"{directory} could not be removed; remove it by hand")
            if watcher.returncode is None:
                watcher.kill()
            await watcher.aclose()


async def _end(process: Process) -> None:
    """End what runs, with time to clean up; nothing happens when it has ended."""
    for number, seconds in (
        (signal.SIGTERM, TERMINATE_SECONDS),
        (signal.SIGKILL, _KILL_SECONDS),
    ):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):  # it has ended just now
            os.killpg(process.pid, number)
        with anyio.move_on_after(seconds):
            await process.wait()


def _make_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="barasync-bootstrap-"))
    # apt's own user, and the users of a namespace, have to get through.
    directory.chmod(0o755)
    return directory
