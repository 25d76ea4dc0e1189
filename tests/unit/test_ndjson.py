from __future__ import annotations

import pytest

from barasync.aiopodman.errors import ProtocolError, StreamTruncated
from barasync.aiopodman.models import TransferProgress
from barasync.aiopodman.wire.ndjson import RecordDecoder


def test_each_line_is_a_record() -> None:
    decoder = RecordDecoder(TransferProgress)

    records = list(decoder.feed(b'{"stream":"a"}\n{"id":"1"}\n'))

    assert records == [TransferProgress(stream="a"), TransferProgress(id="1")]
    assert list(decoder.finish()) == []


def test_a_record_may_arrive_in_pieces() -> None:
    decoder = RecordDecoder(TransferProgress)

    assert list(decoder.feed(b'{"stream":')) == []
    assert list(decoder.feed(b'"a"}')) == []
    assert list(decoder.feed(b"\n")) == [TransferProgress(stream="a")]


def test_empty_lines_are_skipped() -> None:
    decoder = RecordDecoder(TransferProgress)

    assert list(decoder.feed(b"\n \r\n{}\n\n")) == [TransferProgress()]


def test_unknown_members_and_nulls_are_ignored() -> None:
    assert list(RecordDecoder(TransferProgress).feed(b'{"images":[],"id":null}\n')) == [
        TransferProgress()
    ]


def test_a_last_record_without_a_newline_counts() -> None:
    decoder = RecordDecoder(TransferProgress)

    assert list(decoder.feed(b'{"id":"1"}')) == []
    assert list(decoder.finish()) == [TransferProgress(id="1")]


def test_an_end_inside_a_record_is_an_error() -> None:
    decoder = RecordDecoder(TransferProgress)
    list(decoder.feed(b'{"id":'))

    with pytest.raises(StreamTruncated, match="6 bytes into a record"):
        list(decoder.finish())


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"id":1}\n', b"[]\n", b"\xff\n"])
def test_a_line_that_is_no_such_record_is_an_error_after_those_before_it(line: bytes) -> None:
    records = RecordDecoder(TransferProgress).feed(b'{"id":"1"}\n' + line)

    assert next(records) == TransferProgress(id="1")
    with pytest.raises(ProtocolError):
        next(records)


def test_a_record_is_limited_in_size_before_it_is_complete() -> None:
    decoder = RecordDecoder(TransferProgress, max_bytes=10)

    assert list(decoder.feed(b'{"id":"1"}\n')) == [TransferProgress(id="1")]
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        list(decoder.feed(b'{"id":"12"}'))
