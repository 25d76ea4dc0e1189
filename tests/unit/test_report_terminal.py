from __future__ import annotations

import time
from itertools import pairwise

import pytest

from barasync.report.terminal import (
    OutputMode,
    Style,
    choose_mode,
    neutralise,
    neutralise_lines,
    one_line,
    wants_colour,
)

XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("terminal", "environment", "mode"),
    [
        (True, XTERM, OutputMode.LIVE),
        (False, XTERM, OutputMode.STREAM),
        (True, {"TERM": "dumb"}, OutputMode.STREAM),
        (True, {}, OutputMode.STREAM),
        (True, {**XTERM, "CI": "true"}, OutputMode.STREAM),
        (False, {"GITHUB_ACTIONS": "true", "CI": "true"}, OutputMode.GROUP),
        (False, {"GITHUB_ACTIONS": ""}, OutputMode.STREAM),
    ],
)
def test_auto_chooses_what_suits_the_place(
    terminal: bool, environment: dict[str, str], mode: OutputMode
) -> None:
    assert choose_mode(OutputMode.AUTO, terminal=terminal, environment=environment) is mode


@pytest.mark.parametrize("mode", [OutputMode.STREAM, OutputMode.GROUP, OutputMode.QUIET])
def test_what_was_asked_for_is_what_comes(mode: OutputMode) -> None:
    assert choose_mode(mode, terminal=True, environment={**XTERM, "GITHUB_ACTIONS": "1"}) is mode


def test_a_board_needs_a_terminal_that_can_draw() -> None:
    live = OutputMode.LIVE

    assert choose_mode(live, terminal=True, environment={**XTERM, "CI": "1"}) is live
    assert choose_mode(live, terminal=False, environment=XTERM) is OutputMode.STREAM
    assert choose_mode(live, terminal=True, environment={"TERM": "dumb"}) is OutputMode.STREAM


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, XTERM, True),
        (False, XTERM, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "0"}, False),
        (False, {"FORCE_COLOR": ""}, False),
        (True, {**XTERM, "NO_COLOR": "1"}, False),
        (True, {**XTERM, "NO_COLOR": ""}, True),
        (True, {**XTERM, "NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_and_for_those_who_ask(
    terminal: bool, environment: dict[str, str], coloured: bool
) -> None:
    assert wants_colour(terminal=terminal, environment=environment) is coloured


def test_a_style_follows_the_encoding() -> None:
    assert Style.of("utf-8", colour=True) == Style(colour=True, unicode=True)
    assert Style.of("ascii", colour=False) == Style(colour=False, unicode=False)
    assert Style.of("iso8859-1", colour=False).unicode is False
    assert Style.of("no-such-encoding", colour=False).unicode is False


def test_paint_is_reset_and_absent_without_colour() -> None:
    assert Style(colour=True).paint("failed", "31") == "\x1b[31mfailed\x1b[0m"
    assert Style(colour=True).paint("failed", "") == "failed"
    assert Style(colour=False).paint("failed", "31") == "failed"


def test_neighbouring_cells_have_colours_of_their_own_and_any_number_has_one() -> None:
    style = Style(colour=True)
    painted = [style.cell("x", place) for place in range(100)]

    assert len(set(painted[:10])) == 10
    assert all(one != other for one, other in pairwise(painted))


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


@pytest.mark.parametrize(
    "bait", ["\x1b]", "\x9d", "\x1b[", "\x1b[1;", "\x1bP1", "\x1b ", "\x9b\x9c"]
)
def test_hostile_output_takes_linear_time(bait: str) -> None:
    began = time.process_time()
    neutralise(bait * 200_000, sgr=True)

    assert time.process_time() - began < 5
