"""A shell that ends from outside: by a signal, or with the terminal here."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.command import Barasync
from tests.rig.services import RigService

pytestmark = [pytest.mark.usefixtures("no_run_stays"), pytest.mark.timeout(180)]

PROMPT = b"# "


def test_a_terminal_that_is_closed_ends_the_shell_and_leaves_nothing(
    service: RigService, barasync: Barasync, busybox: str
) -> None:
    with barasync.on_terminal("shell", busybox) as terminal:
        terminal.expect(PROMPT)
        terminal.hang_up()
        assert terminal.wait() == 129
        assert libpod.containers(service.endpoint.socket_path) == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_the_shell_and_restores_the_terminal(
    barasync: Barasync, busybox: str, number: signal.Signals
) -> None:
    with barasync.on_terminal("shell", busybox) as terminal:
        before = terminal.attributes()
        terminal.expect(PROMPT)
        terminal.signal(number)
        assert terminal.wait() == 128 + number
        assert terminal.attributes() == before


@pytest.mark.parametrize("first", ["signal", "terminal"])
def test_a_window_that_is_closed_does_not_cut_the_grace_short(
    barasync: Barasync, busybox: str, tmp_path: Path, first: str
) -> None:
    """It comes as SIGHUP, of the kernel and of a shell, and as a terminal that cannot be read.

    What the command prints meanwhile does not hold it up, and its end is the end.
    """
    place = tmp_path / "place"
    place.mkdir()
    leave = "sleep 3; seq 99999; touch /place/left; exit"
    script = f"trap '{leave}' TERM; echo rea''dy; while :; do sleep 0.1; done"
    words = ("--stop-grace", "3600", "--volume", f"{place}:/place", "--", "sh", "-c", script)
    with barasync.on_terminal("shell", busybox, *words) as terminal:
        terminal.expect(b"ready")
        if first == "terminal":
            terminal.hang_up()
        terminal.signal(signal.SIGHUP)
        terminal.hang_up()
        terminal.signal(signal.SIGHUP)
        assert terminal.wait() == 129

    assert (place / "left").exists()


@pytest.mark.whole_host
def test_a_shell_that_was_killed_is_cleaned_up(
    service: RigService, barasync: Barasync, busybox: str
) -> None:
    with barasync.on_terminal("shell", busybox) as terminal:
        terminal.expect(PROMPT)
        terminal.signal(signal.SIGKILL)
        terminal.wait()
    (name,) = libpod.containers(service.endpoint.socket_path).values()

    cleaned = barasync("clean")

    assert name in cleaned.out
    assert libpod.containers(service.endpoint.socket_path) == {}
