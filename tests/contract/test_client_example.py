"""The example of the client alone, as a newcomer runs it."""

from __future__ import annotations

import subprocess
import sys

from tests.rig.services import PROJECT, RigService

PROGRAM = PROJECT / "examples/aiopodman/many.py"


def test_the_example_shows_what_each_container_does_and_leaves_nothing(
    service: RigService, busybox: str
) -> None:
    ended = subprocess.run(
        [sys.executable, PROGRAM, "--url", service.endpoint.url, busybox],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    for number in "012":
        said = [line for line in lines if line.startswith(f"{number} | ")]
        assert sorted(said) == [f"{number} | {word}" for word in ("going", "now", "waiting")]
        assert said[0] == f"{number} | waiting"
        assert f"{number} ended with {number}" in lines
        happened = [line for line in lines if line.startswith(f"{number} event ")]
        for action in ("create", "start", "died", "remove"):
            assert happened.count(f"{number} event {action}") == 1, ended.stdout
