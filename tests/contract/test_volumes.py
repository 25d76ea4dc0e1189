"""Named volumes and secrets of real podmans, from their creation to their removal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from barasync.aiopodman import ContainerSpec, Mount, NotFound, Podman, quirks
from tests.contract.running import created, run, shell

pytestmark = pytest.mark.anyio

NAME = "barasync-test-volume"
LABEL = "barasync-test"


@asynccontextmanager
async def no_volumes_left(podman: Podman) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for number in "12":
            await podman.volumes.remove(f"{NAME}-{number}", missing_ok=True)


def with_volume(image: str, number: int, script: str) -> ContainerSpec:
    return replace(shell(image, script), mounts=(Mount(f"{NAME}-{number}", "/kept"),))


async def test_what_one_container_writes_to_a_volume_another_reads(
    podman: Podman, busybox: str
) -> None:
    async with no_volumes_left(podman):
        made = await podman.volumes.create(f"{NAME}-1", labels={LABEL: "1"})
        await run(podman, with_volume(busybox, 1, "echo hello >/kept/file"))
        read = await run(podman, with_volume(busybox, 1, "cat /kept/file"))
        other = await run(podman, with_volume(busybox, 2, "cat /kept/file"))
        found = await podman.volumes.inspect(f"{NAME}-1")

        assert (read.stdout, other.stdout) == (b"hello\n", b"")
        assert found == made
        assert (found.name, found.labels) == (f"{NAME}-1", {LABEL: "1"})


async def test_a_volume_may_be_a_file_system_that_is_mounted_for_it(
    podman: Podman, busybox: str
) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "nosuid"}
    async with no_volumes_left(podman):
        made = await podman.volumes.create(f"{NAME}-1", driver="local", options=options)
        shown = await run(podman, with_volume(busybox, 1, "grep ' /kept ' /proc/mounts"))

    assert made.options == options
    assert shown.stdout.split()[:3] == [b"tmpfs", b"/kept", b"tmpfs"]
    assert b"nosuid" in shown.stdout


async def test_volumes_are_pruned_by_several_labels_or_by_one_of_an_old_podman(
    podman: Podman,
) -> None:
    labels: dict[str, str | None] = {LABEL: "1", f"{LABEL}-two": None}
    async with no_volumes_left(podman):
        await podman.volumes.create(f"{NAME}-1", labels={LABEL: "1", f"{LABEL}-two": "any"})
        await podman.volumes.create(f"{NAME}-2", labels={LABEL: "1"})
        if quirks.VOLUME_LABELS_ARE_ANY.is_active(podman.version.release):
            with pytest.raises(ValueError, match="give one"):
                await podman.volumes.prune(labels=labels)
            pruned = await podman.volumes.prune(labels={f"{LABEL}-two": None})
        else:
            pruned = await podman.volumes.prune(labels=labels)

        assert pruned == {f"{NAME}-1"}
        assert await podman.volumes.exists(f"{NAME}-2")


async def test_volumes_are_pruned_by_label_unless_a_container_has_them(
    podman: Podman, busybox: str
) -> None:
    async with no_volumes_left(podman):
        for number in (1, 2):
            await podman.volumes.create(f"{NAME}-{number}", labels={LABEL: str(number)})
        async with created(podman, with_volume(busybox, 1, "true")):
            used = await podman.volumes.prune(labels={LABEL: "1"})
        pruned = await podman.volumes.prune(labels={LABEL: "1"})
        with pytest.raises(NotFound):
            await podman.volumes.inspect(f"{NAME}-1")

        assert (used, pruned) == (frozenset(), {f"{NAME}-1"})
        assert await podman.volumes.exists(f"{NAME}-2")


async def test_a_secret_is_inspected_without_its_bytes(podman: Podman) -> None:
    identity = await podman.secrets.create(NAME, b"hunter2", labels={LABEL: "1"})
    try:
        found = await podman.secrets.inspect(NAME)
    finally:
        await podman.secrets.remove(NAME)

    assert (found.id, found.spec.name, found.spec.labels) == (identity, NAME, {LABEL: "1"})
