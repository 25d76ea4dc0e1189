from __future__ import annotations

import struct
from typing import Any

import pytest

from barasync.aiopodman.errors import FrameError, StreamTruncated
from barasync.aiopodman.wire.frames import Chunk, FrameDecoder, RawDecoder, StampDecoder, Stream


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">B3xL", stream, len(payload)) + payload


def test_stdout_and_stderr_are_told_apart_in_the_order_they_were_written() -> None:
    decoder = FrameDecoder()

    chunks = list(decoder.feed(frame(1, b"out") + frame(2, b"err") + frame(1, b"more")))

    assert chunks == [
        Chunk(Stream.STDOUT, b"out"),
        Chunk(Stream.STDERR, b"err"),
        Chunk(Stream.STDOUT, b"more"),
    ]
    assert list(decoder.finish()) == []


def test_frames_of_one_stream_that_arrive_together_come_as_one_chunk() -> None:
    assert list(FrameDecoder().feed(frame(1, b"a\n") * 3)) == [Chunk(Stream.STDOUT, b"a\na\na\n")]


def test_a_payload_is_handed_on_before_it_is_complete() -> None:
    decoder = FrameDecoder()
    four_gibibytes = struct.pack(">B3xL", 1, 2**32 - 1)

    assert list(decoder.feed(four_gibibytes + b"first")) == [Chunk(Stream.STDOUT, b"first")]
    assert list(decoder.feed(b"second")) == [Chunk(Stream.STDOUT, b"second")]


def test_a_header_may_arrive_byte_by_byte() -> None:
    decoder = FrameDecoder()

    chunks = [chunk for byte in frame(2, b"x") for chunk in decoder.feed(bytes([byte]))]

    assert chunks == [Chunk(Stream.STDERR, b"x")]


def test_an_empty_frame_yields_nothing() -> None:
    decoder = FrameDecoder()

    assert list(decoder.feed(frame(1, b""))) == []
    assert list(decoder.finish()) == []


def test_the_stream_podman_numbers_zero_is_stdin() -> None:
    assert list(FrameDecoder().feed(frame(0, b"x"))) == [Chunk(Stream.STDIN, b"x")]


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"\x03\0\0\0\0\0\0\x01", id="unknown stream"),
        pytest.param(b"\x01\0\x01\0\0\0\0\x01", id="padding that is not zero"),
        pytest.param(b"HTTP/1.1", id="something else entirely"),
    ],
)
def test_a_malformed_header_is_an_error_after_what_came_before_it(header: bytes) -> None:
    chunks = FrameDecoder().feed(frame(1, b"good") + header + b"x")

    assert next(chunks) == Chunk(Stream.STDOUT, b"good")
    with pytest.raises(FrameError, match=r"starts with [0-9a-f ]+: that is not the header"):
        next(chunks)


@pytest.mark.parametrize(
    ("cut", "place"),
    [(3, "3 of the 8 bytes of a frame's header"), (10, "3 bytes before the end of a frame of std")],
)
def test_a_truncated_frame_is_an_error(cut: int, place: str) -> None:
    decoder = FrameDecoder()
    list(decoder.feed(frame(1, b"hello")[:cut]))

    with pytest.raises(StreamTruncated, match=place):
        decoder.finish()


def test_the_output_of_a_terminal_is_passed_on_as_it_is() -> None:
    decoder = RawDecoder()

    assert list(decoder.feed(b"\x01\0\0\0")) == [Chunk(Stream.STDOUT, b"\x01\0\0\0")]
    assert list(decoder.feed(b"")) == []
    assert list(decoder.finish()) == []


NOON = b"2026-11-27T12:00:00Z "
LATER = b"2026-11-27T12:00:01Z "


def stamped(*frames: bytes, every: int | None = None) -> dict[Stream, bytes]:
    """What a log with times reads, fed whole or in pieces."""
    data, decoder = b"".join(frames), StampDecoder()
    shown = dict.fromkeys(Stream, b"")
    for begin in range(0, len(data), every or len(data)):
        for chunk in decoder.feed(data[begin : begin + (every or len(data))]):
            shown[chunk.stream] += chunk.data
    assert list(decoder.finish()) == []
    return shown


@pytest.mark.parametrize("every", [None, 1, 7, 30])
def test_a_line_that_came_in_pieces_has_the_time_of_the_first(every: int | None) -> None:
    shown = stamped(
        frame(1, NOON + b"begun"),
        frame(2, LATER + b"error\n"),
        frame(1, LATER + b" and ended\n"),
        frame(1, LATER + b"\n"),
        frame(1, LATER + b"next\n"),
        every=every,
    )

    assert shown[Stream.STDOUT] == NOON + b"begun and ended\n" + LATER + b"\n" + LATER + b"next\n"
    assert shown[Stream.STDERR] == LATER + b"error\n"


def test_entries_of_one_stream_that_arrive_together_come_as_one_chunk_with_their_times() -> None:
    chunks = list(StampDecoder().feed(frame(1, NOON + b"a\n") * 2 + frame(2, NOON + b"b\n")))

    assert chunks == [
        Chunk(Stream.STDOUT, (NOON + b"a\n") * 2),
        Chunk(Stream.STDERR, NOON + b"b\n"),
    ]


@pytest.mark.parametrize("entry", [b"x" * 100, b"no-time", b"x" * 100 + b" y"])
def test_an_entry_without_a_time_is_an_error(entry: bytes) -> None:
    with pytest.raises(FrameError, match="that is no time"):
        list(StampDecoder().feed(frame(1, entry)))


@pytest.mark.parametrize("cut", [4, 12, 31])
def test_a_log_with_times_that_ends_inside_an_entry_is_truncated(cut: int) -> None:
    decoder = StampDecoder()
    list(decoder.feed(frame(1, NOON + b"text\n")[:cut]))

    with pytest.raises(StreamTruncated):
        decoder.finish()


class Counted(bytes):
    """Bytes that count how many of them are copied by slicing."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(key, slice):
            Counted.copied += len(found)
            return Counted(found)
        return found


@pytest.mark.parametrize("decoder", [FrameDecoder, StampDecoder])
def test_what_comes_at_once_is_copied_once_however_short_its_entries_are(
    decoder: type[FrameDecoder | StampDecoder],
) -> None:
    data = frame(1, NOON + b"\n") * 2000
    Counted.copied = 0

    (chunk,) = decoder().feed(Counted(data))

    assert chunk.data == (NOON + b"\n") * 2000
    assert Counted.copied <= 2 * len(data)
