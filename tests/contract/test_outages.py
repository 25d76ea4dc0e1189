"""Podman dies in the middle of a run and comes back: nothing is lost, doubled or left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import libpod, services
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until
from tests.rig.services import Installation, RigService

NATIVE = native_architecture()
CELLS = 8
LINES = 300
SLOWLY = f"""
i=0
echo ready
while [ $i -lt {LINES} ]; do
    echo "line $i"
    echo "error $i" >&2
    sleep 0.02
    i=$((i + 1))
done
exit 7
"""


@pytest.fixture
def mortal(installation: Installation) -> Iterator[RigService]:
    """A service of its own, which may be killed."""
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        service = services.start(installation, environ, directory)
        yield service
        services.stop(service)


def project(service: RigService, directory: Path, script: str) -> Barasync:
    directory.mkdir()
    (directory / "script.sh").write_text(script)
    barasync = Barasync(directory, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    configs = ", ".join(f'"{number}"' for number in range(CELLS))
    barasync.configure(
        f"""
        [defaults]
        image = "{service.busybox(NATIVE)}"
        command = ["sh", "script.sh"]
        [matrix]
        config = [{configs}]
        """
    )
    return barasync


def test_cells_outlive_the_podman_that_started_them(mortal: RigService, tmp_path: Path) -> None:
    barasync = project(mortal, tmp_path / "project", SLOWLY)
    with barasync.running("matrix", "tests", "--jobs", str(CELLS)) as process:
        read_until(process, "| ready", CELLS)
        os.kill(mortal.pid, signal.SIGKILL)
        out, err = process.communicate(timeout=45)

    said = (out + err).decode()
    assert process.returncode == 1, said
    assert set(barasync.statuses().values()) == {"failed"}, said
    for cell in barasync.result()["cells"]:
        assert cell["exit_code"] == 7
        assert cell["output"]["complete"], said
        assert cell["warnings"] == ["podman broke off the output, which was completed from its log"]
        assert barasync.log(cell["id"], "stdout.log").splitlines() == [
            "ready",
            *(f"line {number}" for number in range(LINES)),
        ]
        assert barasync.log(cell["id"], "stderr.log").splitlines() == [
            f"error {number}" for number in range(LINES)
        ]
    assert libpod.containers(mortal.endpoint.socket_path) == {}
