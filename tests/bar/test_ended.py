"""A file of tests that hangs is ended with all that it runs; see tests/rig/bats.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rig import bats
from tests.rig.waiting import wait_until

HANGS = """
@test "hangs" {
    echo "it has begun" >&3
    until false; do sleep 0.1; done
}
"""


def _running(mark: bytes) -> list[str]:
    """Return the processes that have a text in the environment they were started with."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environ = (process / "environ").read_bytes()
        except OSError:
            continue
        if mark in environ.split(b"\0"):
            found.append(process.name)
    return found


def test_a_file_that_hangs_fails_with_its_log_and_nothing_of_it_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "hangs.bats"
    file.write_text(HANGS)
    more = {"HANGS_IN": str(tmp_path)}
    mark = b"HANGS_IN=" + os.fsencode(tmp_path)

    with pytest.raises(AssertionError, match=r"(?s)it has begun.*more than 5 s"):
        bats.run_file(str(file), tmp_path, more, seconds=5)

    wait_until(lambda: not _running(mark), f"the end of {_running(mark)}")
