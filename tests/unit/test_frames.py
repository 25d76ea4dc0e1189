from __future__ import annotations

import struct

import pytest

from barasync.aiopodman.errors import FrameError, StreamTruncated
from barasync.aiopodman.wire.frames import Chunk, FrameDecoder, RawDecoder, Stream


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
