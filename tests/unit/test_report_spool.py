from __future__ import annotations

import errno
import os
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from barasync.aiopodman.wire.frames import Chunk, Stream
from barasync.report.spool import CellLog

pytestmark = pytest.mark.anyio


def out(data: bytes) -> Chunk:
    return Chunk(Stream.STDOUT, data)


def err(data: bytes) -> Chunk:
    return Chunk(Stream.STDERR, data)


def nobody(_: str) -> None:
    """Listen to nothing."""


def open_files(directory: Path) -> set[str]:
    links = Path("/proc/self/fd").iterdir()
    targets = [link.readlink() for link in links if link.is_symlink()]
    return {target.name for target in targets if target.parent == directory}


def contents(directory: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in directory.iterdir()}


async def test_output_lands_in_its_stream_and_interleaved_as_it_came(tmp_path: Path) -> None:
    async with CellLog(tmp_path / "cells" / "arm64", "arm64", on_written=nobody) as log:
        for chunk in (out(b"one "), err(b"two "), out(b"three "), err(b"\x00\xff")):
            await log.write(chunk)

    assert contents(tmp_path / "cells" / "arm64") == {
        "stdout": b"one three ",
        "stderr": b"two \x00\xff",
        "output": b"one two three \x00\xff",
    }


async def test_bytes_are_counted_per_stream(tmp_path: Path) -> None:
    async with CellLog(tmp_path, "arm64", on_written=nobody) as log:
        for chunk in (out(b"12345"), err(b"678"), out(b""), out(b"9")):
            await log.write(chunk)

    assert (log.counts.stdout_bytes, log.counts.stderr_bytes) == (6, 3)
    assert log.counts.complete


async def test_a_silent_cell_leaves_three_empty_files(tmp_path: Path) -> None:
    written: list[str] = []

    async with CellLog(tmp_path, "arm64", on_written=written.append):
        pass

    assert contents(tmp_path) == {"stdout": b"", "stderr": b"", "output": b""}
    assert written == []


async def test_the_listener_hears_of_output_that_is_in_all_files(tmp_path: Path) -> None:
    heard = anyio.Event()
    seen: list[tuple[str, dict[str, bytes]]] = []

    def listen(cell: str) -> None:
        seen.append((cell, contents(tmp_path)))
        heard.set()

    async with CellLog(tmp_path, "arm64", on_written=listen) as log:
        await log.write(out(b"hello"))
        await heard.wait()

        assert seen == [("arm64", {"stdout": b"hello", "stderr": b"", "output": b"hello"})]


async def test_many_small_pieces_are_written_in_few_batches(tmp_path: Path) -> None:
    written: list[str] = []

    async with CellLog(tmp_path, "arm64", on_written=written.append) as log:
        for number in range(1000):
            await log.write(out(b"%d\n" % number))
            await checkpoint()

    assert (tmp_path / "output.log").read_bytes() == b"".join(b"%d\n" % n for n in range(1000))
    assert len(written) < 100


async def test_more_than_a_batch_makes_the_reader_wait_and_arrives_whole(tmp_path: Path) -> None:
    piece = bytes(range(256)) * 256
    async with CellLog(tmp_path, "arm64", on_written=nobody) as log:
        for _ in range(80):
            await log.write(out(piece))

    assert (tmp_path / "stdout.log").read_bytes() == piece * 80


async def test_memory_is_bounded_for_single_bytes_on_alternating_streams(tmp_path: Path) -> None:
    heard = anyio.Event()
    async with CellLog(tmp_path, "arm64", on_written=lambda _: heard.set()) as log:
        pieces = 0
        # Nothing here lets the writer run but a full batch.
        while not heard.is_set() and pieces < 100_000:
            await log.write(out(b"x") if pieces % 2 else err(b"y"))
            pieces += 1

    assert pieces < 20_000


async def test_what_was_taken_is_written_when_the_reader_is_cancelled(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with CellLog(tmp_path, "arm64", on_written=nobody) as log:
            await log.write(out(b"before"))
            scope.cancel()
            await log.write(out(b" and after"))
            await checkpoint()

    assert scope.cancelled_caught
    assert (tmp_path / "output.log").read_bytes() == b"before and after"


async def test_an_error_of_the_reader_is_not_wrapped_in_a_group(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of the reader"):  # noqa: PT012 - the error crosses it
        async with CellLog(tmp_path, "arm64", on_written=nobody) as log:
            await log.write(out(b"kept"))
            raise ValueError("of the reader")

    assert (tmp_path / "output.log").read_bytes() == b"kept"


async def test_a_full_disk_is_a_problem_and_not_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, heard = os.write, anyio.Event()

    def full(descriptor: int, data: bytes) -> int:
        if bytes(data).startswith(b"late"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr("barasync.report.spool.os.write", full)
    async with CellLog(tmp_path, "arm64", on_written=lambda _: heard.set()) as log:
        await log.write(out(b"early"))
        await heard.wait()
        for _ in range(100):
            await log.write(out(b"late" * 16 * 1024))

    assert log.problem is not None
    assert log.problem.errno == errno.ENOSPC
    assert log.counts.stdout_bytes == 5 + 100 * 64 * 1024
    assert not log.counts.complete
    assert contents(tmp_path) == {"stdout": b"early", "stderr": b"", "output": b"early"}


async def test_a_directory_that_cannot_be_made_is_a_problem_and_not_an_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()

    async with CellLog(tmp_path / "file" / "arm64", "arm64", on_written=nobody) as log:
        await log.write(err(b"output"))

    assert isinstance(log.problem, NotADirectoryError)
    assert log.counts.stderr_bytes == 6
    assert not log.counts.complete


async def test_a_disk_that_takes_a_piece_at_a_time_gets_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(
        "barasync.report.spool.os.write", lambda fd, data: real(fd, bytes(data[:3]))
    )
    async with CellLog(tmp_path, "arm64", on_written=nobody) as log:
        await log.write(out(b"0123456789"))

    assert (tmp_path / "output.log").read_bytes() == b"0123456789"


async def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    async with CellLog(tmp_path, "arm64", on_written=nobody):
        assert open_files(tmp_path) == {"stdout.log", "stderr.log", "output.log"}

    assert open_files(tmp_path) == set()
