"""Snapshots by a podman without root."""

from __future__ import annotations

import pytest

from barasync.aiopodman import ContainerSpec, Podman
from barasync.images.inventory import own_images
from barasync.images.snapshot import take_snapshot
from barasync.images.tags import parse_tag
from tests.contract.running import created, finish, run, shell

pytestmark = pytest.mark.anyio


async def test_a_container_of_an_ordinary_user_becomes_an_image(
    rootless_podman: Podman, rootless_busybox: str
) -> None:
    script = "mkdir -p /made; echo written >/made/file; chown 5:6 /made/file"
    async with created(rootless_podman, shell(rootless_busybox, script)) as container:
        await finish(container)
        made = await take_snapshot(rootless_podman, container, parse_tag("snap:1", "TAG"))
    try:
        look = ("sh", "-c", "cat /made/file; stat -c %u:%g /made/file")
        seen = await run(rootless_podman, ContainerSpec(image=made.id, command=look))
        listed = [(image.id, image.kind) for image in await own_images(rootless_podman)]
    finally:
        await rootless_podman.images.remove(made.id)

    assert seen.stdout == b"written\n5:6\n", seen.stderr
    assert (made.id, "snapshot") in listed
