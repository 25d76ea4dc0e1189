"""A pull for which podman's storage has no room."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from barasync.aiopodman import Podman
from tests.contract.cramped import cramped
from tests.rig.command import Barasync, call
from tests.rig.registry import Registry
from tests.rig.services import Installation

pytestmark = pytest.mark.anyio

_ROOM = 8_000_000
_CONTENT = 12_000_000


async def pushed(podman: Podman, reference: str) -> None:
    """Have an image in a registry that is larger than the room, and nowhere else."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("large")
        member.size = _CONTENT
        tar.addfile(member, io.BytesIO(os.urandom(_CONTENT)))

    async def root() -> AsyncIterator[bytes]:
        yield buffer.getvalue()

    name = "localhost/barasync-test/large:1"
    image = await podman.images.import_(root(), reference=name, architecture="amd64")
    try:
        await podman.images.push(image, reference, tls_verify=False)
    finally:
        await podman.images.remove(image, force=True)


async def test_a_pull_without_room_is_told_and_leaves_nothing(
    podman: Podman, installation: Installation, open_registry: Registry, tmp_path: Path
) -> None:
    name = f"{open_registry.host}/test/large:1"
    await pushed(podman, name)
    with cramped(installation, _ROOM) as service:
        graph = service.directory / "graph"
        barasync = Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
        async with Podman(service.endpoint) as client:
            await client.images.list()
            ended = await call(barasync, "image", "pull", name, "--arch", "amd64", "--insecure")
            left = await client.images.list(all=True)
            room = os.statvfs(graph)

    assert (ended.code, ended.out) == (5, "")
    assert f"image {name} for linux/amd64 cannot be pulled: " in ended.err
    assert "podman's storage has no space left: " in ended.err
    assert "hint: `barasync image prune` and `podman system prune` make room" in ended.err
    assert ended.err.count("barasync: ") == 1
    assert left == []
    assert room.f_bavail * room.f_frsize > _ROOM * 0.8
