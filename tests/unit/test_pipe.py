"""Bytes from a task to a worker thread."""

from __future__ import annotations

import threading
from itertools import accumulate

import anyio
import pytest
from anyio import to_thread

from barasync.artifacts.pipe import TURNS, Pipe, PipeAborted, _turns

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


def test_a_pipe_can_be_aborted_when_everything_was_sent() -> None:
    pipe = Pipe()
    pipe.finish()
    assert pipe.read(1) == b""

    pipe.abort()

    with pytest.raises(PipeAborted):
        pipe.read(1)


def test_who_asks_for_no_bytes_hears_at_once_whether_to_go_on() -> None:
    pipe = Pipe()
    assert pipe.read(0) == b""

    pipe.abort()

    with pytest.raises(PipeAborted):
        pipe.read(0)


async def test_a_reader_that_never_waits_does_not_hold_others_up() -> None:
    """As many readers as there are turns go on until the last one has had its own."""
    pipes = [Pipe() for _ in range(TURNS + 1)]
    had = threading.Event()
    started = threading.Barrier(TURNS)

    def occupy(number: int) -> None:
        with pipes[number].reading() as read:
            started.wait(10)
            for _ in range(100_000):
                read(0)
                if had.is_set():
                    return
        pytest.fail("the others had all the turns")

    def work() -> None:
        with pipes[-1].reading() as read:
            read(0)
            had.set()

    async with anyio.create_task_group() as group:
        for number in range(TURNS):
            group.start_soon(to_thread.run_sync, occupy, number)
        await to_thread.run_sync(work)


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


@pytest.mark.parametrize("first", [True, False])
async def test_who_waits_for_a_turn_hears_that_the_writer_gave_up(first: bool) -> None:
    """While others keep all the turns and read nothing."""
    pipe, other, others = Pipe(), Pipe(), [Pipe() for _ in range(TURNS)]
    over, ready = threading.Event(), threading.Semaphore(0)
    heard: list[bool] = []

    def occupy(number: int) -> None:
        with others[number].reading():
            ready.release()
            over.wait(30)

    def work() -> None:
        with pytest.raises(PipeAborted), pipe.reading():
            pytest.fail("there was a turn")
        heard.append(over.is_set())

    async with anyio.create_task_group() as group:
        for number in range(TURNS):
            group.start_soon(to_thread.run_sync, occupy, number)
        for _ in others:
            await to_thread.run_sync(ready.acquire)
        if first:
            pipe.abort()
        waiting = len(_turns.waiting)
        async with anyio.create_task_group() as inner:
            inner.start_soon(to_thread.run_sync, work)
            while not first and len(_turns.waiting) == waiting:
                await anyio.lowlevel.checkpoint()
            pipe.abort()
        over.set()

    assert heard == [False]
    # All turns are there again, and no more.
    with other.reading():
        assert _turns.free == TURNS - 1


async def test_a_reader_that_was_aborted_keeps_no_turn() -> None:
    pipe = Pipe()

    def work() -> None:
        with pipe.reading() as read:
            pipe.abort()
            read(0)

    with pytest.raises(PipeAborted):
        work()

    assert _turns.free == TURNS


async def test_small_pieces_come_together_and_a_large_one_alone() -> None:
    pipe = Pipe()
    large = bytes(100_000)
    for piece in (b"1", b"2", large, b"3"):
        await pipe.send(piece)
    pipe.finish()

    assert [pipe.read(1 << 20) for _ in range(4)] == [b"12", large, b"3", b""]
