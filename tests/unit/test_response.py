"""Answers taken apart by hand: whatever pieces they come in, and whatever they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barasync.aiopodman.errors import ProtocolError
from barasync.aiopodman.wire.response import Body, Head, parse_head

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"5\r\nhello\r\n1;name=value\r\n \r\n0005\r\nworld\r\n"
END = b"0\r\n\r\n"


def decoded(answer: bytes, step: int = 1 << 20) -> tuple[bytes, Body]:
    parsed = parse_head(answer)
    assert parsed is not None
    head, rest = parsed
    body = Body(head)
    whole = b"".join(body.feed(rest[start : start + step]) for start in range(0, len(rest), step))
    return whole, body


def test_the_head_is_what_comes_before_the_blank_line() -> None:
    head, rest = parse_head(b"HTTP/1.1 404 Not Found\r\nA: b\r\nServer:Libpod \r\n\r\nbody") or ()

    assert head == Head(404, ((b"A", b"b"), (b"Server", b"Libpod")))
    assert head.values(b"server") == [b"Libpod"]
    assert head.values(b"x") == []
    assert rest == b"body"


@pytest.mark.parametrize("length", range(len(CHUNKED)))
def test_a_head_that_is_not_complete_is_waited_for(length: int) -> None:
    assert parse_head(CHUNKED[:length]) is None


@pytest.mark.parametrize(
    "head",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 2000000 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nnothing\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"x" * 70_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
    ],
)
def test_what_is_no_head_is_an_error(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_head(head)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("trailer", [b"", b"Digest: x\r\nOther: y\r\n"])
def test_chunks_are_joined_and_their_end_is_known(step: int, trailer: bytes) -> None:
    answer = CHUNKED + CHUNKS + b"0\r\n" + trailer + b"\r\n" + b"next answer"

    whole, body = decoded(answer, step)

    assert whole == b"hello world"
    assert body.complete
    body.finish()


@pytest.mark.parametrize("cut", range(len(CHUNKS + END)))
def test_chunks_without_their_end_are_an_error(cut: int) -> None:
    whole, body = decoded(CHUNKED + (CHUNKS + END)[:cut])

    assert b"hello world".startswith(whole)
    with pytest.raises(ProtocolError, match="peer closed connection"):
        body.finish()


@pytest.mark.parametrize(
    "chunks",
    [
        b"x\r\n",
        b"\r\n",
        b"-1\r\n",
        b"0x5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello, more\r\n",
        b"5\r\nhello0\r\n",
        b"11111111111111111\r\n",
        b"1" * 10_000,
        b"5;" + b"x" * 10_000 + b"\r\n",
    ],
)
@pytest.mark.parametrize("step", [1, 100_000])
def test_a_malformed_chunk_is_an_error(chunks: bytes, step: int) -> None:
    with pytest.raises(ProtocolError):
        decoded(CHUNKED + chunks, step)


def test_a_length_bounds_the_body() -> None:
    whole, body = decoded(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, next", 2)

    assert whole == b"hello"
    assert body.complete


def test_a_body_shorter_than_its_length_is_an_error() -> None:
    _, body = decoded(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")

    with pytest.raises(ProtocolError, match="peer closed connection"):
        body.finish()


def test_what_comes_before_the_answer_is_passed_over() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    answer = early + b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi"

    assert decoded(answer)[0] == b"hi"
    for length in range(len(answer) - 2):
        assert parse_head(answer[:length]) is None


def test_a_length_that_is_said_twice_is_one() -> None:
    assert not Body(Head(200, ((b"Content-Length", b"5"), (b"content-length", b"5")))).complete


@pytest.mark.parametrize(
    "headers",
    [
        ((b"Content-Length", b"5"), (b"content-length", b"9")),
        ((b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"gzip")),
        ((b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")),
    ],
)
def test_headers_that_contradict_each_other_are_an_error(
    headers: tuple[tuple[bytes, bytes], ...],
) -> None:
    with pytest.raises(ProtocolError):
        Body(Head(200, headers))


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"5, 5", b"1" * 5000, b"0" * 5000])
def test_a_length_that_is_none_is_an_error(length: bytes) -> None:
    with pytest.raises(ProtocolError):
        Body(Head(200, ((b"Content-Length", length),)))


def test_another_coding_is_an_error() -> None:
    with pytest.raises(ProtocolError):
        Body(Head(200, ((b"Transfer-Encoding", b"gzip, chunked"),)))


def test_without_either_the_body_goes_on_to_the_end() -> None:
    whole, body = decoded(b"HTTP/1.1 200 OK\r\n\r\nhello")

    assert whole == b"hello"
    assert not body.complete
    body.finish()


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body(status: int) -> None:
    assert Body(Head(status, ())).complete


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=30), max_size=6),
    noise=st.binary(max_size=8),
    at=st.integers(0, 200),
    steps=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_the_pieces_do_not_matter(
    chunks: list[bytes], noise: bytes, at: int, steps: tuple[int, int]
) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + END
    data = data[:at] + noise + data[at:]

    first, second = (outcome(data, step) for step in steps)

    assert first == second
    if not noise:
        assert first == (b"".join(chunks), True)


def outcome(data: bytes, step: int) -> tuple[bytes, bool] | None:
    try:
        whole, body = decoded(CHUNKED + data, step)
    except ProtocolError:
        return None
    return whole, body.complete
