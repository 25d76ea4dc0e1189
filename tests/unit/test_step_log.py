from __future__ import annotations

import tracemalloc
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import Chunk, Stream
from barasync.engine.step_log import StepLog

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024


def out(data: bytes) -> Chunk:
    return Chunk(Stream.STDOUT, data)


async def test_everything_is_in_the_file_and_the_last_lines_are_kept(tmp_path: Path) -> None:
    seen: list[str] = []
    async with StepLog(tmp_path / "made/here.log", seen.append) as log:
        await log.begin("step 1/1 RUN x")
        for number in range(12):
            await log.write(out(b"line %d\n" % number))
        await log.write(Chunk(Stream.STDERR, b"50 %\r100 %\r\x1b[31mred\x1b[0m\tend\xff"))
        log.end()

    text = await anyio.Path(tmp_path / "made/here.log").read_bytes()
    assert text.startswith(b"==> step 1/1 RUN x\nline 0\nline 1\n")
    assert text.endswith(b"\x1b[31mred\x1b[0m\tend\xff")
    assert log.last_lines == (*(f"line {n}" for n in range(3, 12)), seen[-1])
    assert seen[-1].startswith("red ")
    assert "50 %" not in seen


async def test_a_new_step_begins_without_the_lines_of_the_one_before(tmp_path: Path) -> None:
    async with StepLog(tmp_path / "log", None) as log:
        await log.begin("one")
        await log.write(out(b"old\n"))
        await log.begin("two")

    assert log.last_lines == ()


async def test_a_file_is_made_only_for_a_step_that_begins(tmp_path: Path) -> None:
    async with StepLog(tmp_path / "log", None) as log:
        pass

    assert not log.exists
    assert not await anyio.Path(tmp_path / "log").exists()


async def test_memory_is_bounded_whatever_is_printed(tmp_path: Path) -> None:
    async with StepLog(tmp_path / "log", None) as log:
        await log.begin("step")
        tracemalloc.start()
        for _ in range(64):
            await log.write(out(b"x" * MEBIBYTE))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert peak < 8 * MEBIBYTE
    assert max(map(len, log.last_lines)) <= 1000
    assert (await anyio.Path(log.path).stat()).st_size == 64 * MEBIBYTE + len("==> step\n")
