"""The driver of terminals itself: it tells a restored terminal from one that was not."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.rig.pseudo_terminal import on_terminal


def test_a_command_reads_what_is_typed_and_its_exit_code_comes_back() -> None:
    with on_terminal(["sh", "-c", "printf 'who? '; read name; echo hello $name; exit 7"]) as tty:
        tty.expect(b"who? ")
        tty.send(b"ada\r")
        tty.expect(b"hello ada")

        assert tty.wait() == 7


def test_a_marker_that_never_comes_is_told_with_what_came_instead() -> None:
    with (
        on_terminal(["echo", "something else"]) as tty,
        pytest.raises(AssertionError, match=r"ended with 0: b'something else"),
    ):
        tty.expect(b"never")


def test_the_size_is_known_from_the_start_and_its_change_is_told() -> None:
    script = "trap 'stty size; exit' WINCH; stty size; while :; do read _; done"
    with on_terminal(["sh", "-c", script], columns=101, rows=33) as tty:
        tty.expect(b"33 101")
        tty.resize(99, 44)
        tty.send(b"\r")
        tty.expect(b"44 99")


def test_modes_that_a_command_leaves_behind_are_seen_after_its_end() -> None:
    with on_terminal(["stty", "raw", "-echo"]) as tty:
        assert tty.wait() == 0
        assert tty.is_raw()


def test_a_command_that_is_stopped_and_continued_is_told() -> None:
    with on_terminal(["sleep", "1000"]) as tty:
        tty.signal(signal.SIGTSTP)
        tty.wait_for("stopped")
        tty.signal(signal.SIGCONT)
        tty.wait_for("continued")
        tty.signal(signal.SIGTERM)

        assert tty.wait() == 128 + signal.SIGTERM


def test_a_terminal_that_is_closed_is_an_error_to_who_reads_it() -> None:
    program = "import sys\ntry: sys.stdin.read()\nfinally: sys.exit(9)"
    with on_terminal([sys.executable, "-c", f"print('up', flush=True)\n{program}"]) as tty:
        tty.expect(b"up\r\n")
        tty.hang_up()

        assert tty.wait(reading=False) == 9


def test_a_pipe_may_stand_for_one_of_the_streams() -> None:
    read, write = os.pipe()
    with on_terminal(["sh", "-c", "test -t 0 && ! test -t 1 && echo in"], stdout=write) as tty:
        assert tty.wait() == 0
    os.close(write)
    with os.fdopen(read, "rb") as came:
        assert came.read() == b"in\n"
