"""A failed cell that podman's storage has no room to keep."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from barasync.aiopodman import Podman
from tests.contract.cramped import cramped
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, call
from tests.rig.services import Installation

pytestmark = pytest.mark.anyio

NATIVE = native_architecture()
_ROOM = 40_000_000
_WRITTEN = 24_000_000


async def test_a_failed_cell_without_room_to_keep_it_has_failed_as_ever_and_leaves_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    with cramped(installation, _ROOM) as service:
        graph = service.directory / "graph"
        image = service.busybox(NATIVE)
        barasync = Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
        barasync.configure_script(image, f"head -c {_WRITTEN} /dev/urandom >/large; exit 3")
        async with Podman(service.endpoint) as podman:
            before = os.statvfs(graph)
            ended = await call(barasync, "matrix", "tests", "--keep-failed")
            after = os.statvfs(graph)
            left = {each.id for each in await podman.images.list(all=True)}
            containers = await podman.containers.list(all=True)
        cell = barasync.result()["cells"][0]

    assert (ended.code, cell["status"], cell["exit_code"]) == (1, "failed", 3), ended.err
    assert cell["snapshot"]["image"] is None
    assert "no space left on device" in cell["snapshot"]["problem"]
    assert f"note: {NATIVE}: not kept: " in ended.out
    assert "--from-failed" not in ended.out
    assert left == {image}
    assert containers == []
    assert (before.f_bavail - after.f_bavail) * after.f_frsize < 4_000_000
