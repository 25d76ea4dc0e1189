"""What signals are taken for while a command works."""

from __future__ import annotations

import signal
import socket

import anyio
import pytest

from barasync.cli.interrupts import interruptible

pytestmark = pytest.mark.anyio

SIGHUP, SIGINT, SIGTERM = (bytes([n]) for n in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))


async def counts(*, noted: bytes, found: int, until: int) -> list[int]:
    """Note some signals, have it found so often that the terminal is gone; return what is counted.

    `until` is the number of the last that counts.
    """
    counted: list[int] = []
    done = anyio.Event()

    def handle(count: int) -> None:
        counted.append(count)
        if count == until:
            done.set()

    read, write = socket.socketpair()
    with read, write:
        read.setblocking(False)
        async with interruptible(read) as interrupts:
            with interrupts.handled_by(handle):
                for _ in range(found):
                    interrupts.hang_up()
                write.send(noted)
                with anyio.fail_after(30):
                    await done.wait()
    return counted


async def test_all_that_a_closed_window_makes_is_one_interruption() -> None:
    assert await counts(noted=3 * SIGHUP + SIGINT, found=0, until=2) == [1, 2]
    assert await counts(noted=2 * SIGHUP + SIGTERM, found=2, until=2) == [1, 2]
    assert await counts(noted=SIGINT + 2 * SIGHUP + SIGINT, found=0, until=3) == [1, 2, 3]


async def test_every_other_signal_counts() -> None:
    assert await counts(noted=SIGINT + SIGTERM + SIGINT, found=0, until=3) == [1, 2, 3]


async def test_a_terminal_that_is_gone_ends_a_command_that_handles_nothing() -> None:
    read, write = socket.socketpair()
    with read, write:
        read.setblocking(False)
        with anyio.fail_after(30):
            async with interruptible(read) as interrupts:
                interrupts.hang_up()
                await anyio.sleep_forever()
    assert interrupts.count == 1
