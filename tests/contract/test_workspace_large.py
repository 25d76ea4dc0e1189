"""A project with a file of 5 GB, on real podmans."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.memory import MEBIBYTE, peak_memory
from tests.rig.services import RigService

SIZE = 5 * 1000**3
BOUND = 150 * MEBIBYTE


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_file_of_5_gb_arrives_and_is_never_in_memory(
    service: RigService, busybox: str, tmp_path: Path
) -> None:
    """Podman stores it twice for a moment: in the container that is committed, and in the image."""
    barasync = Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"}, 850)
    barasync.configure(f'[defaults]\nimage = "{busybox}"\ntimeout = 600')
    with (tmp_path / "large").open("wb") as file:
        file.truncate(SIZE)
        file.seek(SIZE - 4)
        file.write(b"end\n")
    peak = 0
    try:
        words = ("run", busybox, "--", "sh", "-c", "stat -c %s large; tail -c 4 large")
        with barasync.running(*words) as process:
            while process.returncode is None:
                peak = max(peak, peak_memory(process.pid))
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
            assert process.stdout is not None
            out = process.stdout.read().decode()

        assert (process.returncode, out) == (0, f"{SIZE}\nend\n")
        assert 0 < peak < BOUND, f"{peak / MEBIBYTE:.0f} MiB"
        assert barasync.statuses() == {native_architecture(): "passed"}
    finally:
        barasync("clean", "--all")
