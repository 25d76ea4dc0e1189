"""Tests that are ended from outside clear up what they have made."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

WAITING_TEST = """
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def made() -> Iterator[None]:
    yield
    print("cleared up", flush=True)


def test_waits(made: None) -> None:
    print("waiting", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_tests_ends_them_by_way_of_their_fixtures(
    tmp_path: Path, number: signal.Signals
) -> None:
    test = tmp_path / "test_waiting.py"
    test.write_text(WAITING_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(test)]
    command += ["--confcutdir", str(tmp_path), "--rootdir", str(PROJECT), "-p", "tests.rig.plugin"]

    with subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as tests:
        assert tests.stdout is not None
        assert any("waiting" in line for line in tests.stdout)
        tests.send_signal(number)
        rest = tests.stdout.read()

    assert "cleared up" in rest
    assert tests.returncode == pytest.ExitCode.INTERRUPTED
