from __future__ import annotations

import pytest

from barasync.aiopodman.wire.lines import Ending, Line, LineSplitter

NEWLINE, RETURN = Ending.NEWLINE, Ending.CARRIAGE_RETURN
CUT, END = Ending.CUT, Ending.END_OF_STREAM


def split(*pieces: bytes, max_bytes: int = 100) -> list[Line]:
    splitter = LineSplitter(max_bytes=max_bytes)
    fed = [line for piece in pieces for line in splitter.feed(piece)]
    return [*fed, *splitter.finish()]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"a\nb\n", [Line(b"a", NEWLINE), Line(b"b", NEWLINE)]),
        (b"a\r\nb\r\n", [Line(b"a", NEWLINE), Line(b"b", NEWLINE)]),
        (b"a\r\r\nb", [Line(b"a", NEWLINE), Line(b"b", END)]),
        (b"\n\n", [Line(b"", NEWLINE), Line(b"", NEWLINE)]),
        (b"1%\r2%\r3%\n", [Line(b"1%", RETURN), Line(b"2%", RETURN), Line(b"3%", NEWLINE)]),
        (b"1%\r\r2%", [Line(b"1%", RETURN), Line(b"2%", END)]),
        (b"1%\r", [Line(b"1%", RETURN)]),
        (b"no newline", [Line(b"no newline", END)]),
    ],
)
def test_lines_end_where_a_terminal_would_end_them(text: bytes, lines: list[Line]) -> None:
    assert split(text) == lines


def test_a_carriage_return_waits_for_the_newline_that_may_follow() -> None:
    splitter = LineSplitter()

    assert list(splitter.feed(b"a\r")) == []
    assert list(splitter.feed(b"\n")) == [Line(b"a", NEWLINE)]
    assert list(splitter.feed(b"b\r")) == []
    assert list(splitter.feed(b"c")) == [Line(b"b", RETURN)]
    assert list(splitter.finish()) == [Line(b"c", END)]


def test_a_line_of_exactly_the_limit_is_whole() -> None:
    assert split(b"12345\n", max_bytes=5) == [Line(b"12345", NEWLINE)]
    assert split(b"12345", b"\n", max_bytes=5) == [Line(b"12345", NEWLINE)]


def test_a_longer_line_is_cut_into_pieces() -> None:
    expected = [Line(b"12345", CUT), Line(b"67890", CUT), Line(b"1", NEWLINE)]

    assert split(b"12345678901\n", max_bytes=5) == expected
    assert split(b"1234", b"567890", b"1\n", max_bytes=5) == expected


def test_a_cut_spares_utf8_characters() -> None:
    assert split("aaa€\n".encode(), max_bytes=5) == [
        Line(b"aaa", CUT),
        Line("€".encode(), NEWLINE),
    ]


def test_a_cut_through_what_is_not_utf8_is_made_at_the_limit() -> None:
    assert split(b"\x80" * 6, max_bytes=5) == [Line(b"\x80" * 5, CUT), Line(b"\x80", END)]


def test_a_finished_splitter_is_as_new() -> None:
    splitter = LineSplitter()
    list(splitter.feed(b"a\r"))

    assert list(splitter.finish()) == [Line(b"a", RETURN)]
    assert list(splitter.finish()) == []
    assert list(splitter.feed(b"\n")) == [Line(b"", NEWLINE)]


def test_a_limit_below_one_character_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4, not 3"):
        LineSplitter(max_bytes=3)
