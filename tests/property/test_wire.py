"""Invariants of the parsers: they depend on the bytes, not on the pieces, and fail in one way."""

from __future__ import annotations

import json
import string
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barasync.aiopodman.errors import ProtocolError
from barasync.aiopodman.models import TransferProgress
from barasync.aiopodman.wire.archive import ArchiveCheck
from barasync.aiopodman.wire.frames import FrameDecoder, RawDecoder, StampDecoder
from barasync.aiopodman.wire.lines import Ending, LineSplitter
from barasync.aiopodman.wire.ndjson import RecordDecoder
from barasync.aiopodman.wire.reference import InvalidReference, parse_reference

LIMIT = 16


class Parser(Protocol):
    def feed(self, data: bytes, /) -> Iterator[Any]: ...
    def finish(self) -> Iterator[Any]: ...


def frames() -> Parser:
    return FrameDecoder()


def records() -> Parser:
    return RecordDecoder(TransferProgress, max_bytes=LIMIT)


def lines() -> Parser:
    return LineSplitter(max_bytes=LIMIT)


PARSERS = [frames, StampDecoder, records, lines, ArchiveCheck, RawDecoder]

frame = st.builds(
    lambda stream, payload: struct.pack(">B3xL", stream, len(payload)) + payload,
    st.integers(0, 2),
    st.binary(max_size=40),
)
entry = st.builds(
    lambda stream, text: struct.pack(">B3xL", stream, len(text) + 5) + b"noon " + text,
    st.integers(0, 2),
    st.binary(max_size=10) | st.sampled_from([b"", b"a\n", b"a", b"\n"]),
)
record = st.dictionaries(st.sampled_from(["id", "stream", "x"]), st.text(max_size=3)).map(
    lambda value: json.dumps(value).encode() + b"\n"
)
plausible = st.lists(frame | record | st.binary(max_size=20), max_size=8).map(b"".join)
entries = st.lists(entry | entry | frame, max_size=8).map(b"".join)
text = st.text(alphabet="ab€😀\r\n", max_size=80).map(str.encode)
anything = st.binary(max_size=200) | plausible | entries | text


@st.composite
def in_pieces(draw: st.DrawFn, whole: st.SearchStrategy[bytes] = anything) -> list[bytes]:
    data = draw(whole)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=10)))
    return [data[start:end] for start, end in pairwise([0, *cuts, len(data)])]


def parse(make: Callable[[], Parser], pieces: Sequence[bytes]) -> tuple[list[Any], type | None]:
    """Return what a parser yields, adjacent bytes joined, and the error it ends with."""
    parser = make()
    events: list[Any] = []
    try:
        for piece in pieces:
            for event in parser.feed(piece):
                _append(events, event)
        for event in parser.finish():
            _append(events, event)
    except ProtocolError as error:
        return events, type(error)
    return events, None


def _append(events: list[Any], event: Any) -> None:
    if isinstance(event, bytes):
        event = (b"", event)
    elif hasattr(event, "stream") and hasattr(event, "data"):
        event = (event.stream, event.data)
    if isinstance(event, tuple) and events and events[-1][0] == event[0]:
        event = (event[0], events.pop()[1] + event[1])
    events.append(event)


@pytest.mark.parametrize("make", PARSERS)
@given(pieces=in_pieces())
def test_the_pieces_make_no_difference_and_errors_are_protocol_errors(
    make: Callable[[], Parser], pieces: list[bytes]
) -> None:
    whole = b"".join(pieces)

    assert parse(make, pieces) == parse(make, [whole])
    assert parse(make, [bytes([byte]) for byte in whole]) == parse(make, [whole])


@given(payloads=st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=50)), max_size=20))
def test_frames_carry_every_byte_in_order(payloads: list[tuple[int, bytes]]) -> None:
    stream = b"".join(struct.pack(">B3xL", number, len(data)) + data for number, data in payloads)

    events, error = parse(frames, [stream])

    assert error is None
    for number in range(3):
        sent = b"".join(data for stream_number, data in payloads if stream_number == number)
        assert b"".join(data for stream_number, data in events if stream_number == number) == sent


@given(pieces=in_pieces(text | st.binary(max_size=200)))
def test_lines_are_bounded_and_lose_nothing_but_their_endings(pieces: list[bytes]) -> None:
    splitter = LineSplitter(max_bytes=LIMIT)
    found = [line for piece in pieces for line in splitter.feed(piece)]
    found += splitter.finish()

    assert all(len(line.data) <= LIMIT for line in found)
    assert not any(b"\r" in line.data or b"\n" in line.data for line in found)
    kept = b"".join(pieces).replace(b"\r", b"").replace(b"\n", b"")
    assert b"".join(line.data for line in found) == kept
    assert all(line.ending is not Ending.END_OF_STREAM for line in found[:-1])


@given(whole=st.text(alphabet="ab€😀", max_size=100))
def test_a_cut_line_of_text_is_cut_between_characters(whole: str) -> None:
    for line in LineSplitter(max_bytes=LIMIT).feed(whole.encode() + b"\n"):
        line.data.decode()


@pytest.mark.parametrize("make", PARSERS)
@given(piece=st.binary(min_size=1, max_size=64))
def test_memory_is_bounded_whatever_is_fed(make: Callable[[], Parser], piece: bytes) -> None:
    parser = make()
    try:
        for _ in range(100):
            for _event in parser.feed(piece):
                pass
    except ProtocolError:
        return

    assert sum(len(part) for part in vars(parser).values() if hasattr(part, "__len__")) <= 1024


@given(st.text(max_size=40) | st.text(alphabet=string.ascii_letters + "/:.@-_0", max_size=40))
def test_any_text_is_a_reference_that_round_trips_or_is_refused(given_text: str) -> None:
    try:
        reference = parse_reference(given_text)
    except InvalidReference:
        return

    assert str(reference) == given_text
    assert parse_reference(str(reference)) == reference
