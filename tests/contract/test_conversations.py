"""A conversation with a real container: held back while nobody reads, and left to itself."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from dataclasses import replace

import pytest
from anyio import to_thread

from barasync.aiopodman import Podman
from tests.contract.running import created, ended, shell
from tests.rig.pseudo_terminal import on_terminal
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

_COMMAND = (sys.executable, "-m", "tests.rig.conversation", "attached")
_KEYS = b"\x10\x11"


def is_full(pipe: int) -> bool:
    """Return whether whoever writes to a pipe has to wait."""
    return not select.select((), (pipe,), (), 0)[1]


async def test_a_container_that_nobody_reads_is_held_back_and_goes_on_when_it_is_left(
    podman: Podman, service: RigService, busybox: str
) -> None:
    """The keys are found although podman's monitor, which waits as well, takes none."""
    script = "read x; yes | head -c 3000000; exit 7"
    spec = replace(shell(busybox, script), stdin=True, terminal=True)
    read, write = os.pipe()

    async with created(podman, spec) as container:
        await container.start()

        def leave() -> int:
            with on_terminal([*_COMMAND, service.endpoint.url, container.id], stdout=write) as tty:
                wait_until(tty.is_raw, "the conversation begins")
                tty.send(b"\r")
                wait_until(lambda: is_full(write), "the pipe is full")
                tty.send(_KEYS)
                return tty.wait()

        code = await to_thread.run_sync(leave)
        os.close(read)
        os.close(write)
        state = await ended(container)

    assert code == 0
    assert state.state.exit_code == 7


async def test_a_pipe_that_ends_is_the_end_for_a_terminal_of_the_container_too(
    podman: Podman, service: RigService, busybox: str
) -> None:
    spec = replace(shell(busybox, "stty -echo; echo ready; cat; exit 7"), stdin=True, terminal=True)

    async with created(podman, spec) as container:
        await container.start()
        words = [*_COMMAND, service.endpoint.url, container.id]
        done = await to_thread.run_sync(
            lambda: subprocess.run(
                words, input=b"one\ntwo", capture_output=True, timeout=50, check=False
            )
        )
        state = await ended(container)

    assert done.returncode == 5, done.stderr
    assert b"one\r\ntwo" in done.stdout
    assert state.state.exit_code == 7
