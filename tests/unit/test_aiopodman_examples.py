"""The examples of the client, where podman cuts its output in the middle of something."""

from __future__ import annotations

import runpy
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from barasync.aiopodman import Chunk, Stream

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[2] / "examples/aiopodman"


def functions(name: str) -> SimpleNamespace:
    """Return what an example defines, without running it."""
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / name)))


async def output(*pieces: bytes) -> AsyncIterator[Chunk]:
    for piece in pieces:
        yield Chunk(Stream.STDOUT, piece)


async def test_the_tour_shows_a_character_that_is_in_two_chunks(capfdbinary: Any) -> None:
    await functions("tour.py").show_output(output(b"caf\xc3", b"\xa9\n"))

    assert capfdbinary.readouterr().out == "café\n".encode()


async def test_many_reads_lines_wherever_chunks_end() -> None:
    pieces = output(b"wai", b"ting\ngo", b"ing\ncaf\xc3", b"\xa9")

    lines = [line async for line in functions("many.py").split_lines(pieces)]

    assert lines == [b"waiting", b"going", "café".encode()]


async def test_many_keeps_the_lines_of_two_streams_apart() -> None:
    async def mixed() -> AsyncIterator[Chunk]:
        yield Chunk(Stream.STDOUT, b"one ")
        yield Chunk(Stream.STDERR, b"error\n")
        yield Chunk(Stream.STDOUT, b"line\n")

    lines = [line async for line in functions("many.py").split_lines(mixed())]

    assert lines == [b"error", b"one line"]
