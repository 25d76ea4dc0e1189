"""`barasync container stats` and `top` on real podmans."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, Podman
from tests.contract.running import created, of_a_cell, running
from tests.rig.command import Barasync, call
from tests.rig.pseudo_terminal import on_terminal

pytestmark = pytest.mark.anyio

BUSY = "echo ready; while :; do :; done"
SECONDS = 60.0
IDLE = "echo ready; exec sleep 1000"


def full_pipe() -> tuple[int, int]:
    """A pipe that takes no more, and that nobody drains."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * select.PIPE_BUF)
    os.set_blocking(write, True)
    return read, write


def until_waits_to_write(pid: int) -> None:
    """Return once one of a process's threads stands still in a write to a pipe."""
    end = time.monotonic() + SECONDS
    while not any(
        "pipe_w" in task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/wchan")
    ):
        assert time.monotonic() < end, "it never wrote"


async def test_one_measurement_of_what_a_runs_containers_consume(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with (
        running(podman, of_a_cell(busybox, "run-a", "busy", BUSY)) as busy,
        running(podman, of_a_cell(busybox, "run-a", "idle", IDLE)) as idle,
        running(podman, of_a_cell(busybox, "run-b", "other", IDLE)) as other,
    ):
        stats = ("container", "stats", "--no-stream")
        of_run = json.loads((await call(barasync, *stats, "--json", "--run", "run-a")).out)
        named = json.loads((await call(barasync, *stats, "--json", "other", idle.id[:12])).out)
        every = await call(barasync, *stats)

    assert [each["id"] for each in of_run] == [busy.id, idle.id]
    assert [each["cell"] for each in of_run] == ["busy", "idle"]
    assert of_run[0]["cpu_percent"] > of_run[1]["cpu_percent"]
    assert of_run[0]["cpu_percent"] > 1
    assert all(each["memory_bytes"] > 0 for each in of_run)
    assert {each["id"] for each in named} == {idle.id, other.id}
    assert every.out.splitlines()[0].split() == [
        "NAME",
        "CPU",
        "MEMORY",
        "LIMIT",
        "PIDS",
        "READ",
        "WRITTEN",
    ]
    assert [line.split()[0] for line in every.out.splitlines()[1:]] == [
        "barasync-run-a-busy-1",
        "barasync-run-a-idle-1",
        "barasync-run-b-other-1",
    ]


async def test_the_stream_takes_in_who_joins_the_run_and_ends_with_it(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with running(podman, of_a_cell(busybox, "run-a", "one", IDLE)) as one:
        words = ("container", "stats", "--json", "--run", "run-a")
        with barasync.running(*words) as process:
            output = process.stdout
            assert output is not None

            async def sample() -> list[str]:
                line = await to_thread.run_sync(output.readline)
                return [each["cell"] for each in json.loads(line)]

            assert await sample() == ["one"]
            async with running(podman, of_a_cell(busybox, "run-a", "two", IDLE)) as two:
                while await sample() != ["one", "two"]:
                    pass
                await two.stop(timeout=0)
                await one.stop(timeout=0)
                out, err = await to_thread.run_sync(process.communicate)

    assert (process.returncode, err) == (0, b"")
    assert json.loads(out.splitlines()[-1]) == []


async def test_on_a_terminal_a_table_takes_the_place_of_the_one_before(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    def watch() -> int:
        words = [sys.executable, "-m", "barasync", "container", "stats", "--run", "run-a"]
        environ = {**barasync.environ, "CONTAINER_HOST": str(barasync.url), "TERM": "xterm"}
        with on_terminal(words, cwd=barasync.directory, environ=environ, columns=40) as terminal:
            table = terminal.expect(b"barasync-run-a-one-1")
            assert table.split()[:3] == [b"NAME", b"CPU", b"MEMORY"]
            # Back over the two lines of the table, cut to the width of the terminal.
            terminal.expect(b"\x1b[2F\x1b[JNAME")
            terminal.send(b"\x03")
            return terminal.wait()

    async with running(podman, of_a_cell(busybox, "run-a", "one", IDLE)):
        code = await to_thread.run_sync(watch)

    assert code == 130


async def test_what_does_not_run_has_no_figures_and_no_processes(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    spec = ContainerSpec(image=busybox, name="ended", command=("sh", "-c", "exit 3"))
    async with created(podman, spec) as container:
        waits = await call(barasync, "container", "top", "ended")
        await container.start()
        await container.wait()
        stats = await call(barasync, "container", "stats", "ended")
        top = await call(barasync, "container", "top", "ended")
        both = await call(barasync, "container", "stats", "ended", "--run", "x")

    assert (waits.code, stats.code, top.code, both.code) == (2, 2, 2, 2)
    assert "ended does not run: it is created" in waits.err
    assert "ended does not run: it is exited, exit code 3" in stats.err
    assert "ended does not run: it is exited, exit code 3" in top.err
    assert "`barasync container logs`" in top.err


async def test_one_that_is_paused_is_named_as_that(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with running(podman, of_a_cell(busybox, "run-a", "one", IDLE)) as container:
        await container.pause()
        said = [await call(barasync, "container", word, "one") for word in ("stats", "top")]
        await container.unpause()
        goes_on = await call(barasync, "container", "stats", "one", "--no-stream")

    for each in said:
        assert each.code == 2
        assert "does not run: it is paused" in each.err
        assert "`podman --url unix://" in each.err
        assert " unpause barasync-run-a-one-1` lets it go on" in each.err
    assert goes_on.code == 0


async def test_a_signal_ends_what_nobody_reads_and_a_reader_that_leaves_ends_it(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    async with running(podman, of_a_cell(busybox, "run-a", "one", IDLE)):
        words = ("container", "stats", "--json")
        read, write = full_pipe()
        with barasync.running(*words, stdout=write) as process:
            os.close(write)
            await to_thread.run_sync(lambda: until_waits_to_write(process.pid))
            process.send_signal(signal.SIGINT)
            interrupted = await to_thread.run_sync(lambda: process.wait(SECONDS))
        os.close(read)
        with barasync.running(*words) as process:
            assert process.stdout is not None
            await to_thread.run_sync(process.stdout.readline)
            process.stdout.close()
            unread = await to_thread.run_sync(lambda: process.wait(SECONDS))

    assert (interrupted, unread) == (130, 141)


async def test_the_processes_of_a_container_are_shown(
    podman: Podman, busybox: str, barasync: Barasync
) -> None:
    script = "sleep 999 & echo ready; wait"
    async with running(podman, of_a_cell(busybox, "run-a", "one", script)):
        table = await call(barasync, "container", "top", "run-a/one")
        data = json.loads(
            (await call(barasync, "container", "top", "one", "--columns", "pid,args", "--json")).out
        )

    assert table.out.split()[:2] == ["USER", "PID"]
    assert "sleep 999" in table.out
    assert max(each["COMMAND"] for each in data) == "sleep 999"
    assert all(set(each) == {"PID", "COMMAND"} for each in data)
