from __future__ import annotations

from itertools import pairwise

import pytest

from barasync.report.terminal import OutputMode, Style, choose_mode, wants_colour

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
