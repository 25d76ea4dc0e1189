"""Bytes from a task to a worker thread."""

from __future__ import annotations

import threading
from itertools import accumulate

import anyio
import pytest
from anyio import to_thread

from barasync.artifacts.pipe import TURNS, Pipe, PipeAborted

pytestmark = pytest.mark.anyio


async def test_a_pipe_gives_what_was_sent_and_then_the_end() -> None:
    pipe = Pipe(capacity=10)
    received: list[bytes] = []

    def drain() -> None:
        while data := pipe.read(4):
            received.append(data)

    async with anyio.create_task_group() as group:
        group.start_soon(to_thread.run_sync, drain)
        for number in range(20):
            await pipe.send(b"%03d" % number)
        pipe.finish()

    assert b"".join(received) == b"".join(b"%03d" % number for number in range(20))
    assert max(len(data) for data in received) <= 4


async def test_a_full_pipe_makes_its_writer_wait() -> None:
    pipe = Pipe(capacity=4)
    await pipe.send(b"1234")
    with anyio.move_on_after(0) as scope:
        await pipe.send(b"5")
    assert scope.cancelled_caught

    assert await to_thread.run_sync(pipe.read, 100) == b"12345"


async def test_an_aborted_pipe_fails_its_waiting_reader() -> None:
    pipe = Pipe()

    async def read() -> None:
        with pytest.raises(PipeAborted):
            await to_thread.run_sync(pipe.read, 1)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.lowlevel.checkpoint()
        pipe.abort()


def test_a_pipe_that_was_finished_cannot_be_aborted() -> None:
    pipe = Pipe()
    pipe.finish()
    pipe.abort()

    assert pipe.read(1) == b""


async def test_readers_work_in_turn_and_one_that_waits_holds_nobody_up() -> None:
    pipes = [Pipe(batch=1) for _ in range(TURNS + 2)]
    log: list[tuple[int, int]] = []

    def work(number: int) -> None:
        with pipes[number].reading() as read:
            while read(100):
                log.append((number, 1))
                # Gives the interpreter away, as a system call does.
                threading.Event().wait(0.001)
                log.append((number, -1))

    async with anyio.create_task_group() as group:
        for number in range(len(pipes)):
            group.start_soon(to_thread.run_sync, work, number)
        # The first to come wait for their bytes while the others work.
        for number in (*reversed(range(len(pipes))), *range(len(pipes))):
            await pipes[number].send(b"x" * 50)
        for pipe in pipes:
            pipe.finish()

    assert {number for number, _ in log} == set(range(len(pipes)))
    assert max(accumulate(change for _, change in log)) <= TURNS


async def test_small_pieces_come_together_and_a_large_one_alone() -> None:
    pipe = Pipe()
    large = bytes(100_000)
    for piece in (b"1", b"2", large, b"3"):
        await pipe.send(piece)
    pipe.finish()

    assert [pipe.read(1 << 20) for _ in range(4)] == [b"12", large, b"3", b""]
