"""What the process does with signals from its first line to its last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from barasync.cli.signals import exit_code_of

EXPLAINS = """
import signal
import sys

from barasync.cli import app, failures
from barasync.errors import ConfigError


def fail(**_options):
    raise ConfigError("wrong")


def explain(error):
    signal.raise_signal({number})
    raise AssertionError("the signal was not heard")


app.app = fail
failures.explain = explain
sys.exit(app.main())
"""

LISTENS = """
import signal

import typer

from barasync.cli import app
from barasync.cli.interrupts import finish


def tell():
    names = (name for name in ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"))
    print(*(name for name in names if signal.getsignal(signal.Signals[name]) is signal.SIG_IGN))


async def command(interrupts):
    tell()
    return 0


def listen(**_options):
    tell()
    try:
        finish(command)
    except typer.Exit:
        tell()


app.app = listen
app.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_an_error_is_explained_is_an_interruption(number: signal.Signals) -> None:
    program = [sys.executable, "-c", EXPLAINS.format(number=number.value)]

    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=50)

    # Dying of SIGQUIT would leave a core dump.
    code = 128 + number if number is signal.SIGQUIT else -number
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize(
    ("number", "code"),
    [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", None), ("KILL", None), ("SEGV", None)],
)
def test_only_what_has_died_in_order_has_an_exit_code(number: str, code: int | None) -> None:
    with subprocess.Popen(["sh", "-c", f"ulimit -c 0; kill -{number} $$"]) as process:
        _, status = os.waitpid(process.pid, 0)

    assert exit_code_of(status) == code
    assert exit_code_of(7 << 8) == 7


@pytest.mark.parametrize("ignored", ["SIGHUP", "SIGINT", "SIGQUIT"])
def test_a_signal_that_was_ignored_from_the_start_stays_ignored(ignored: str) -> None:
    """As SIGHUP is under nohup, SIGINT and SIGQUIT in what a script starts in the background."""
    shell = ["sh", "-c", f'trap "" {ignored[3:]}; exec "$@"', "sh"]
    program = [*shell, sys.executable, "-c", LISTENS]

    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=50)

    assert done.stdout.split("\n") == [ignored, ignored, ignored, ""], done.stderr


def test_a_signal_that_is_not_ignored_is_heard() -> None:
    program = [sys.executable, "-c", LISTENS]

    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=50)

    assert done.stdout == "\n\n\n", done.stderr
