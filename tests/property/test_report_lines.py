from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from barasync.aiopodman.wire.lines import Ending, LineSplitter
from barasync.report.channel import Channel
from barasync.report.follow import PIECE_BYTES, LabelledLines
from barasync.terminal_text import neutralise
from tests.unit.report_examples import Capture

# What lines are made of, far more often than chance would have it.
OUTPUT = st.lists(
    st.sampled_from(
        [b"\n", b"\r", b"\r\n", b"text", b"\x1b[31m", b"\x1b[2J", "é".encode(), b"\xff", b"\t"]
    )
    | st.binary(max_size=4)
    | st.integers(1, 5).map(lambda times: b"0123456789abcdef" * 1024 * times),
    max_size=30,
).map(b"".join)

TEXT = st.text(st.characters() | st.sampled_from("\x1b\x9b\x9d[]mH;0123\x07\x9c\\Pc"), max_size=60)

CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def label(data: bytes, cuts: list[int], *, terminal: bool) -> bytes:
    lines = LabelledLines("arm64 | ", Channel(Capture(), terminal=terminal))
    shown, start = b"", 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        for offset in range(start, cut, PIECE_BYTES):
            shown += lines.feed(data[offset : min(cut, offset + PIECE_BYTES)])
        start = cut
    return shown + lines.finish()


@given(OUTPUT, st.lists(st.integers(0, 10**6)), st.booleans())
def test_what_is_shown_depends_on_the_bytes_and_not_on_the_pieces(
    data: bytes, cuts: list[int], terminal: bool
) -> None:
    assert label(data, cuts, terminal=terminal) == label(data, [], terminal=terminal)


@given(OUTPUT)
def test_a_pipe_gets_the_lines_of_the_splitter_each_behind_its_label(data: bytes) -> None:
    splitter = LineSplitter(max_bytes=PIECE_BYTES)
    lines = [*splitter.feed(data), *splitter.finish()]
    visible = [
        line.data for line in lines if line.data or line.ending is not Ending.CARRIAGE_RETURN
    ]

    assert label(data, [], terminal=False) == b"".join(
        [b"arm64 | " + line + b"\n" for line in visible]
    )


@given(OUTPUT)
def test_a_terminal_gets_whole_lines_of_text(data: bytes) -> None:
    shown = label(data, [], terminal=True).decode("utf-8")

    assert all(line.startswith("arm64 | ") for line in shown.split("\n")[:-1])
    assert shown == "" or shown.endswith("\n")


@given(TEXT)
def test_no_control_character_survives_but_tabs_and_colours(line: str) -> None:
    shown = neutralise(line, sgr=True)

    assert not CONTROL.search(re.sub(r"\x1b\[[0-9;:]*m", "", shown))


@given(TEXT)
def test_without_colours_no_control_character_survives_but_tabs(line: str) -> None:
    assert not CONTROL.search(neutralise(line, sgr=False))
