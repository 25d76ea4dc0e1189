"""Commands without one of their standard streams, on real podmans: nothing takes its number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from barasync.aiopodman import Container, ContainerSpec, Podman
from tests.contract.running import created
from tests.rig.command import Barasync, Ended, call

pytestmark = pytest.mark.anyio

BOTH = "echo out; echo err >&2"
CLOSED = "barasync: stdout cannot be written: Bad file descriptor\n"


async def redirected(barasync: Barasync, how: str, *words: str) -> Ended:
    """Run a command with what a shell does to its streams."""
    within = ("sh", "-c", f'exec "$@" {how}', "sh")
    return await call(replace(barasync, within=within), *words)


@asynccontextmanager
async def box(podman: Podman, busybox: str) -> AsyncIterator[Container]:
    """A container that runs and has printed something, called `box`."""
    spec = ContainerSpec(image=busybox, name="box", command=("sh", "-c", f"{BOTH}; sleep 1000"))
    async with created(podman, spec) as container, container.start_attached() as chunks:
        await anext(chunks)
        await anext(chunks)
        yield container


async def test_a_run_without_stdout_is_no_success_and_its_logs_are_whole(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure_script(busybox, BOTH)

    for command in (("matrix", "tests"), ("run", busybox, "--", "sh", "-c", BOTH)):
        ended = await redirected(barasync, ">&-", *command)
        assert (ended.code, ended.out) == (1, ""), ended
        assert CLOSED in ended.err
        assert "Traceback" not in ended.err
        (cell,) = barasync.statuses()
        assert barasync.statuses()[cell] == "passed"
        assert (barasync.log(cell, "stdout.log"), barasync.log(cell, "stderr.log")) == (
            "out\n",
            "err\n",
        )


async def test_a_run_without_stderr_or_stdin_is_what_it_is_otherwise(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure_script(busybox, BOTH)

    matrix = await redirected(barasync, "<&- 2>&-", "matrix", "tests")
    run = await redirected(
        barasync, "<&- 2>&-", "run", busybox, "--", "sh", "-c", f"{BOTH}; exit 7"
    )
    nothing = await redirected(barasync, "<&- >&- 2>&-", "run", busybox, "--", "sh", "-c", BOTH)

    assert (matrix.code, run.code, run.out, nothing.code) == (0, 7, "out\n", 1)
    assert "1 passed" in matrix.out


async def test_a_shell_without_stdout_says_that_its_output_is_lost(
    barasync: Barasync, busybox: str
) -> None:
    printing = await redirected(barasync, ">&-", "shell", busybox, "--", "echo", "out")
    silent = await redirected(barasync, ">&-", "shell", busybox, "--", "sh", "-c", "exit 6")
    blind = await redirected(
        barasync, "<&- 2>&-", "shell", busybox, "--", "sh", "-c", "cat; echo o"
    )

    assert (printing.code, silent.code) == (1, 6), (printing, silent)
    assert "stdout cannot be written: Bad file descriptor" in printing.err
    assert "Traceback" not in printing.err + silent.err
    assert (blind.code, blind.out) == (0, "o\n")


async def test_containers_by_hand_without_stdout_are_no_success(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with box(podman, busybox):
        for words in (
            ("container", "logs", "box"),
            ("container", "exec", "box", "--", "echo", "out"),
            ("image", "list"),
        ):
            ended = await redirected(barasync, ">&-", *words)
            assert ended.code == 1, ended
            assert "stdout cannot be written: Bad file descriptor" in ended.err
            assert "Traceback" not in ended.err


async def test_containers_by_hand_without_stderr_or_stdin_do_what_they_do(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with box(podman, busybox):
        logs = await redirected(barasync, "<&- 2>&-", "container", "logs", "box")
        script = f"cat; {BOTH}; exit 3"
        words = ("container", "exec", "box", "--", "sh", "-c", script)
        executed = await redirected(barasync, "<&- 2>&-", *words)

    assert (logs.code, logs.out) == (0, "out\n")
    assert (executed.code, executed.out) == (3, "out\n")
