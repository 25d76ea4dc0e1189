"""A run in the background of which podman was asked something before it was forked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from barasync.engine.identity import MADE, PRESET
from tests.fake.service import FakeService
from tests.rig.command import Barasync


@pytest.fixture
def barasync(service: FakeService, tmp_path: Path) -> Barasync:
    return Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


def test_a_run_is_forked_after_a_question_to_podman_and_asks_podman_again(
    service: FakeService, barasync: Barasync
) -> None:
    """What a configuration of the command line names is asked for, whether or not it is chosen."""
    service.make_network(name="shop", labels={MADE: "yes", PRESET: "public"})
    image = service.image("localhost/cell")

    named = ("--define", "config.other.network=shop", "--network", "none")
    begun = barasync("run", "--background=k", *named, image, "--", "echo", "ran")
    assert (begun.code, begun.out) == (0, ""), begun.err
    assert "networks" in service.requests

    ended = barasync("wait", "--timeout=40", "k")
    assert (ended.code, ended.out) == (0, "ran\n"), ended.err


BESIDE_A_THREAD = """
import sys, threading
from barasync.__main__ import main

threading.Thread(target=threading.Event().wait, daemon=True).start()
sys.exit(main())
"""


def test_nothing_is_begun_beside_a_thread_that_has_not_ended(
    service: FakeService, barasync: Barasync
) -> None:
    words = ("run", "--background=k", service.image("localhost/cell"), "--", "true")
    refused = subprocess.run(
        [sys.executable, "-c", BESIDE_A_THREAD, *words],
        cwd=barasync.directory,
        env=barasync._environ(None),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "nothing is begun in the background: what podman was asked before" in refused.stderr
    assert "nothing was begun" in barasync("wait", "k").err
