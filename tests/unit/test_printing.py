"""What a command prints, and what becomes of it where nobody reads or it cannot be written."""

from __future__ import annotations

import errno
import os

import pytest

from barasync.cli.printing import Printer
from barasync.cli.standard_streams import CannotWrite
from barasync.errors import EXIT_OK, EXIT_UNREAD
from barasync.report.channel import Channel
from barasync.report.writer import Writer

pytestmark = pytest.mark.anyio


class Takes:
    """A device that takes what is written, or fails with an error."""

    def __init__(self, error: int | None = None) -> None:
        self.error = error
        self.data = b""

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        self.data += data


async def test_lines_are_there_when_it_returns_in_the_encoding_of_the_stream() -> None:
    device = Takes()
    channel = Channel(device, encoding="ascii")
    with Writer(channel) as writer:
        codes = [await Printer(channel, writer).print(text) for text in ("a", "ü\nb")]

    assert codes == [EXIT_OK, EXIT_OK]
    assert device.data == b"a\n?\nb\n"


async def test_a_reader_that_has_left_is_an_exit_code_and_a_full_disk_an_error() -> None:
    unread, full = Channel(Takes(errno.EPIPE)), Channel(Takes(errno.ENOSPC))
    with Writer(unread) as writer:
        assert await Printer(unread, writer).print("a") == EXIT_UNREAD
    with (
        Writer(full) as writer,
        pytest.raises(CannotWrite, match="stdout cannot be written: No space left on device"),
    ):
        await Printer(full, writer).print("a")
