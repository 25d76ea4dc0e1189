from __future__ import annotations

import time

import pytest

from barasync.terminal_text import neutralise, neutralise_lines, one_line


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain\ttext é✓", "plain\ttext é✓"),
        ("a\x1b[2Jb", "ab"),
        ("a\x1b[10;20Hb", "ab"),
        ("a\x1b[?1049hb", "ab"),
        ("a\x1b[>4;2mb", "ab"),
        ("a\x9b2Jb", "ab"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]52;c;aGk=\x1b\\b", "ab"),
        ("a\x9d0;title\x9cb", "ab"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x1bPq#0\x1b\\b", "ab"),
        ("a\x1bcb", "ab"),
        ("a\x1b(0b", "ab"),
        ("a\x07\x08\x00b", "a^G^H^@b"),
        ("a\rb\x7f", "a^Mb^?"),
        ("a\x85b", "aM-^Eb"),
        ("end\x1b", "end^["),
        ("end\x1b[", "end"),
        ("end\x1b[31", "end31"),
        ("a\x9b31mb", "ab"),
        ("a\x1b]0;never ended", "a0;never ended"),
    ],
)
def test_what_could_wreck_a_terminal_is_taken_out_or_made_visible(line: str, shown: str) -> None:
    assert neutralise(line, sgr=True) == shown


def test_colours_stay_and_end_with_the_line() -> None:
    line = "\x1b[1;31mred\x1b[0m \x1b[38:2::1:2:3mother"

    assert neutralise(line, sgr=True) == line + "\x1b[0m"
    assert neutralise(line, sgr=False) == "red other"


def test_every_line_ends_its_own_colours() -> None:
    assert neutralise_lines("a\n\x1b[31mb\nc") == "a\n\x1b[31mb\x1b[0m\nc"
    assert neutralise_lines("a\n\tb") == "a\n\tb"


def test_a_message_is_shown_on_one_line() -> None:
    assert one_line("  cannot\n\tstart:\x1b[31m no\x07") == "cannot start: no^G"


def test_what_a_message_cannot_show_is_a_question_mark() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")

    assert one_line(f"{name} left\u202eright é✓") == "caf? left?right é✓"


def test_a_message_is_cut_to_what_there_is_room_for() -> None:
    assert one_line("a long  title", most=6) == "a lon…"
    assert one_line("title", most=5) == "title"


@pytest.mark.parametrize(
    "bait", ["\x1b]", "\x9d", "\x1b[", "\x1b[1;", "\x1bP1", "\x1b ", "\x9b\x9c"]
)
def test_hostile_output_takes_linear_time(bait: str) -> None:
    began = time.process_time()
    neutralise(bait * 200_000, sgr=True)

    assert time.process_time() - began < 5
