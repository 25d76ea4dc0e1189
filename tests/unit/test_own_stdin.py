"""Our stdin for the command of a run: to its end, or until nobody is here for whom it would be."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any, cast

import anyio
import pytest

from barasync.cli.interrupts import Interrupts
from barasync.cli.own_stdin import OwnStdin
from barasync.cli.reader import Reader
from barasync.cli.terminals import CannotPassOn, Here
from barasync.engine.run import RunResult
from barasync.matrix.outcome import Outcome, Status
from barasync.report.channel import Channel

pytestmark = pytest.mark.anyio

CANCELLED = Outcome(status=Status.CANCELLED)
RESULT = RunResult(outcomes={}, exit_code=1, problem=None, seconds=0.0)


class Gone:
    """A device that takes nothing."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def write(self, _data: bytes) -> None:
        raise self._error


class Left:
    """Stands for `Interrupts` and for a run: whoever hangs up, or leaves, ends what reads."""

    def __init__(self) -> None:
        self.ended = anyio.Event()

    def hang_up(self) -> None:
        self.ended.set()

    def stop(self, _reason: str) -> bool:
        self.ended.set()
        return True


def own_stdin(stdin: int, out: Any = None) -> tuple[OwnStdin, Reader, Left, Channel]:
    left, channel, reader = Left(), Channel(out), Reader()
    here = Here(cast("Interrupts", left), channel, channel, stdin)
    return OwnStdin(here, reader), reader, left, channel


async def read(own: OwnStdin, left: Left) -> list[bytes]:
    """Return what is given until the end, or until the run would be ended."""
    pieces: list[bytes] = []

    async def collect() -> None:
        async for piece in own.pieces():
            pieces.append(piece)  # noqa: PERF401 - what came before a cancellation counts
        group.cancel_scope.cancel()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(collect)
            await left.ended.wait()
            group.cancel_scope.cancel()
    return pieces


@pytest.fixture
def pipe() -> Iterator[tuple[int, Callable[[bytes], None]]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb") as file:

        def write(data: bytes) -> None:
            file.write(data)
            file.flush()
            if not data:
                file.close()

        yield reader, write


async def test_all_is_given_to_the_end(pipe: tuple[int, Callable[[bytes], None]]) -> None:
    reader, write = pipe
    own, _, left, _ = own_stdin(reader)
    write(b"some")
    write(b"")

    assert await read(own, left) == [b"some"]
    assert own.exit_code(CANCELLED) is None


@pytest.mark.parametrize(
    ("error", "code"), [(BrokenPipeError(), 141), (OSError(errno.ENOSPC, "no space"), 1)]
)
async def test_what_comes_when_nobody_reads_the_output_ends_the_run(
    pipe: tuple[int, Callable[[bytes], None]], error: OSError, code: int
) -> None:
    reader, write = pipe
    own, onlooker, left, channel = own_stdin(reader, Gone(error))
    write(b"more")
    channel.write(b"output")

    with onlooker.ends(left.stop):
        assert await read(own, left) == []
    assert onlooker.exit_code(CANCELLED, RESULT) == code
    assert own.exit_code(CANCELLED) is None


async def test_an_end_when_nobody_reads_the_output_ends_nothing(
    pipe: tuple[int, Callable[[bytes], None]],
) -> None:
    reader, write = pipe
    own, onlooker, left, channel = own_stdin(reader, Gone(BrokenPipeError()))
    channel.write(b"output")
    write(b"")

    with onlooker.ends(left.stop):
        assert await read(own, left) == []
    assert not left.ended.is_set()
    assert onlooker.exit_code(CANCELLED, RESULT) is None


async def test_a_stdin_that_cannot_be_read_is_said() -> None:
    directory = os.open("/", os.O_RDONLY)
    own, _, _, _ = own_stdin(directory)
    try:
        with pytest.raises(CannotPassOn, match="stdin cannot be read: Is a directory"):
            await anext(own.pieces())
    finally:
        os.close(directory)
