"""What the process does with signals from its first line to its last."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

EXPLAINS = """
import signal
import sys

from barasync.cli import app, failures
from barasync.errors import ConfigError


def fail():
    raise ConfigError("wrong")


def explain(error):
    signal.raise_signal({number})
    raise AssertionError("the signal was not heard")


app.app = fail
failures.explain = explain
sys.exit(app.main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_an_error_is_explained_is_an_interruption(number: signal.Signals) -> None:
    program = [sys.executable, "-c", EXPLAINS.format(number=number.value)]

    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=50)

    assert (done.returncode, done.stderr) == (130, "")
