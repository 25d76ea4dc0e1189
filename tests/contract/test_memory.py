"""Memory stays bounded, however much waits and whatever it prints."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.command import Barasync
from tests.rig.memory import MEBIBYTE, peak_memory
from tests.rig.services import RigService

QUEUED = 1000
JOBS = 16
ENOUGH = 100
BOUND = 150 * MEBIBYTE


@pytest.mark.slow
def test_1000_queued_cells_and_16_that_print_take_less_than_150_mib(
    service: RigService, busybox: str, tmp_path: Path
) -> None:
    barasync = Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        command = ["sh", "-c", "yes $(seq -s . 300) | head -c 1000000; echo; echo done"]
        workspace = "none"
        [matrix]
        config = {[f"c{number}" for number in range(QUEUED)]}
        """
    )
    peak, ended = 0, 0
    words = ("matrix", "tests", "--jobs", str(JOBS), "--output", "stream")
    with barasync.running(*words, "--cpus-total", str(JOBS)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith(b"| done\n"):
                ended += 1
                peak = max(peak, peak_memory(process.pid))
                if ended == ENOUGH:
                    process.send_signal(signal.SIGINT)
        code = process.wait(30)

    assert code == 130
    statuses = list(barasync.statuses().values())
    assert len(statuses) == QUEUED
    assert statuses.count("passed") >= ENOUGH - JOBS
    assert set(statuses) == {"passed", "cancelled"}
    assert 0 < peak < BOUND, f"{peak / MEBIBYTE:.0f} MiB"
    assert most_at_once(barasync) == JOBS
    assert libpod.containers(service.endpoint.socket_path) == {}


def most_at_once(barasync: Barasync) -> int:
    """Return how many cells had begun and not ended at the same time."""
    running: set[str] = set()
    most = 0
    for line in (barasync.record() / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "cell.started":
            running.add(event["cell"])
        elif event["event"] == "cell.finished":
            running.discard(event["cell"])
        most = max(most, len(running))
    return most
