"""`barasync container exec` and `attach` that are left, and whose container goes away."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from anyio import to_thread

from barasync.aiopodman import Container, ContainerSpec, Podman
from tests.contract.running import created, running
from tests.rig.command import Barasync, call
from tests.rig.prompt import KEYS, prompted

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

IDLE = ("sh", "-c", "echo ready; exec sleep 1000")
TICKING = ("sh", "-c", "while :; do echo tick; sleep 0.2; done & cat; echo over; exit 9")


@asynccontextmanager
async def idle(podman: Podman, busybox: str) -> AsyncIterator[Container]:
    """A container that runs, called `box`."""
    async with running(podman, ContainerSpec(image=busybox, name="box", command=IDLE)) as container:
        yield container


@asynccontextmanager
async def talkative(
    podman: Podman, image: str, command: tuple[str, ...]
) -> AsyncIterator[Container]:
    """A container with a terminal that runs and reads, called `box`."""
    spec = ContainerSpec(image=image, name="box", command=command, terminal=True, stdin=True)
    async with created(podman, spec) as container:
        await container.start()
        yield container


async def test_a_directory_and_a_user_that_are_not_there_are_mistakes_of_who_asks(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with idle(podman, busybox):
        directory = await call(barasync, "container", "exec", "-w", "/nope", "box", "ls")
        user = await call(barasync, "container", "exec", "-u", "nosuch", "box", "ls", "-la")

    assert directory.code == 2, directory
    assert directory.err.startswith("barasync: --workdir: /nope cannot be entered in box: ")
    assert user.code == 2, user
    assert user.err.startswith("barasync: --user: box has no nosuch: ")


async def test_a_command_that_was_left_by_the_keys_goes_on(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    def leave() -> tuple[int, bytes]:
        words = ("container", "exec", "box", "sh", "-c", "echo be''gun; exec sleep 1234")
        with barasync.on_terminal(*words) as terminal:
            terminal.expect(b"begun")
            terminal.send(KEYS)
            return terminal.wait(), terminal.output

    async with idle(podman, busybox) as container:
        code, output = await to_thread.run_sync(leave)
        processes = (await container.top(("args",))).processes

    assert (code, b"\r\ndetached; the command goes on in box\r\n" in output) == (0, True)
    assert ["sleep 1234"] in [[*row] for row in processes]


async def test_a_terminal_that_is_asked_for_is_there_for_what_is_piped(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    def pipe() -> subprocess.CompletedProcess[bytes]:
        words = ("container", "exec", "--terminal", "box", "sh")
        with barasync.running(*words, stdin=subprocess.PIPE) as process:
            out, err = process.communicate(b"test -t 0 && echo i''s one\nexit 5\n", timeout=60)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    async with idle(podman, busybox):
        done = await to_thread.run_sync(pipe)

    assert (done.returncode, b"is one\r\n" in done.stdout) == (5, True), done


@pytest.mark.parametrize("command", ["attach", "exec"])
async def test_a_terminal_that_is_closed_leaves_the_container_running(
    command: str, podman: Podman, busybox: str, barasync: Barasync
) -> None:
    words = ("attach", "box") if command == "attach" else ("exec", "box", "sh")

    def close() -> int:
        with barasync.on_terminal("container", *words) as terminal:
            terminal.send(b"\r")
            prompted(terminal)
            terminal.hang_up()
            return terminal.wait(reading=False)

    async with talkative(podman, busybox, ("sh",)) as container:
        code = await to_thread.run_sync(close)
        state = (await container.inspect()).state.status

    assert (code, state) == (129, "running")


@pytest.mark.parametrize("command", ["attach", "exec"])
async def test_a_container_that_is_removed_ends_what_talks_to_it(
    command: str, podman: Podman, busybox: str, barasync: Barasync
) -> None:
    words = ("attach", "box") if command == "attach" else ("exec", "box", "--", *TICKING)

    def talk() -> tuple[int, str]:
        with barasync.running("container", *words, stdin=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == (b"tick\r\n" if command == "attach" else b"tick\n")
            removed = barasync("container", "remove", "--force", "box")
            assert removed.code == 0, removed
            _out, err = process.communicate(timeout=60)
        return process.returncode, err.decode()

    async with talkative(podman, busybox, TICKING):
        code, err = await to_thread.run_sync(talk)

    # Podman kills it first, and may be asked between the two.
    assert code == 137 or (code == 1 and "exit code" in err), (code, err)
    assert "Traceback" not in err


async def test_who_only_watches_does_not_end_the_stdin_of_a_terminal(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    def watch() -> int:
        with barasync.running("container", "attach", "--no-stdin", "box") as process:
            assert process.stdout is not None
            for _ in range(3):
                assert process.stdout.readline() == b"tick\r\n"
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            return process.returncode

    async with talkative(podman, busybox, TICKING) as container:
        watched = await to_thread.run_sync(watch)
        state = (await container.inspect()).state.status
        attached = await call(barasync, "container", "attach", "box")

    assert (watched, state) == (130, "running")
    # The stdin of this one is at its end at once.
    assert (attached.code, "over\r\n" in attached.out) == (9, True)


async def test_what_is_said_during_a_shell_is_no_staircase(
    busybox: str, barasync: Barasync
) -> None:
    def talk() -> bytes:
        with barasync.on_terminal("shell", "--verbose", busybox) as terminal:
            prompted(terminal)
            terminal.send(b"exit 3\r")
            assert terminal.wait() == 3
            return terminal.output

    output = await to_thread.run_sync(talk)

    assert re.search(rb"(?<!\r)\n", output) is None, output
    assert b"\r\r\n" not in output, output
