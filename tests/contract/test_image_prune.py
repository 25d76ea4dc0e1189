"""`barasync image prune` on real podmans: what goes by age, number and size, and what stays."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, Member, NotFound, Podman
from barasync.engine.identity import Identity
from barasync.engine.image_uses import UseFiles, note_uses, using
from tests.contract.running import created
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio

DAY = 24 * 3600
MEBIBYTE = 1024 * 1024
TEST_LABEL = "test.prune"


@dataclass(frozen=True, slots=True)
class Bench:
    """Makes images as builds do, and prunes them by the command line."""

    podman: Podman
    barasync: Barasync
    files: UseFiles
    busybox: str
    dead: Identity

    async def make(
        self, name: str, *tags: str, below: str = "", mebibytes: int = 0, days: float = 0
    ) -> str:
        """Make an image of that name, last used so many days ago, with so large a file of its own.

        Its labels are those of a step, made by a process of this host that is dead.
        """
        base = below or self.busybox
        spec = ContainerSpec(image=base, command=("true",))
        labels = {
            "barasync.kind": "step",
            "barasync.base": base,
            TEST_LABEL: name.replace("/", "-"),
            **self.dead.maker_labels("old"),
        }
        changes = tuple(f"LABEL {label}={value}" for label, value in labels.items())
        async with created(self.podman, spec) as container:
            if mebibytes:
                await container.put_archive("/", pieces(name, mebibytes * MEBIBYTE))
            repository, _, tag = name.rpartition(":")
            image = await container.commit(
                repository=repository, tag=tag, changes=changes, pause=False
            )
        for more in tags:
            repository, _, tag = more.rpartition(":")
            await self.podman.images.tag(image, repository, tag)
        if days:
            await to_thread.run_sync(note_uses, self.files.uses, {image}, time.time() - days * DAY)
        return image

    async def prune(self, *options: str) -> list[str]:
        """Return the IDs of what went, in order; the command has to say so."""
        ended = await to_thread.run_sync(self.barasync, "image", "prune", "--json", *options)
        assert ended.code == 0, ended.err
        return [image["id"] for image in json.loads(ended.out)["images"]]

    async def present(self) -> set[str]:
        found = await self.podman.images.list(labels={TEST_LABEL: None}, all=True)
        return {image.id for image in found}


async def pieces(name: str, size: int) -> AsyncIterator[bytes]:
    """An archive with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name.rpartition(":")[2])
        member.size = size
        tar.addfile(member, io.BytesIO(os.urandom(size)))
    yield buffer.getvalue()


@pytest.fixture
async def bench(
    podman: Podman, service: RigService, busybox: str, tmp_path: Path
) -> AsyncIterator[Bench]:
    cache = tmp_path / "cache"
    environ = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    files = UseFiles(uses=cache / "barasync/uses", locks=cache / "barasync/locks")
    dead = replace(await to_thread.run_sync(Identity.current), start=1)
    await remove_all(podman)
    barasync = Barasync(tmp_path, service.endpoint.url, environ)
    yield Bench(podman, barasync, files, busybox, dead)
    with anyio.move_on_after(50, shield=True):
        await remove_all(podman)


async def remove_all(podman: Podman) -> None:
    """Remove what any test here has made, and the workspace layers of others."""
    for label in ("barasync.kind", TEST_LABEL):
        for image in await podman.images.list(labels={label: None}, all=True):
            await podman.images.remove(image.id, force=True, missing_ok=True)


async def test_by_age_what_was_not_used_for_long_goes_children_first(bench: Bench) -> None:
    base = await bench.make("localhost/barasync/step:base", days=30)
    old = await bench.make("localhost/barasync/step:old", below=base, days=20)
    young = await bench.make("localhost/barasync/tools:amd64-1", days=3)

    assert await bench.prune("--older-than", "25d") == []
    assert await bench.prune("--older-than", "14d", "--dry-run") == [old, base]
    assert await bench.present() == {base, old, young}
    assert await bench.prune("--older-than", "14d") == [old, base]
    assert await bench.present() == {young}


async def test_by_number_those_that_were_used_last_stay(bench: Bench) -> None:
    images = [await bench.make(f"localhost/barasync/step:{n}", days=n + 1) for n in range(4)]

    assert await bench.prune("--keep", "2") == [images[3], images[2]]
    assert await bench.present() == {images[0], images[1]}


async def test_by_size_the_least_recently_used_go_until_the_others_fit(bench: Bench) -> None:
    base = await bench.make("localhost/barasync/step:base", mebibytes=3, days=9)
    small = await bench.make("localhost/barasync/step:small", below=base, mebibytes=1, days=1)
    await bench.make("localhost/barasync/step:large", below=base, mebibytes=4, days=2)

    assert await bench.prune("--max-size", "9m") == []
    ended = await to_thread.run_sync(bench.barasync, "image", "prune", "--max-size", "5m")

    assert await bench.present() == {base, small}
    assert ended.code == 0
    assert "localhost/barasync/step:large (step, 4.0 MiB): removed" in ended.out
    freed = int(ended.out.partition("(")[2].rpartition(" bytes) freed")[0].rpartition("(")[2])
    assert 4 * MEBIBYTE <= freed < 5 * MEBIBYTE


async def test_what_a_living_run_has_found_stays_with_what_it_is_made_from(bench: Bench) -> None:
    base = await bench.make("localhost/barasync/step:base", days=30)
    held = await bench.make("localhost/barasync/step:held", below=base, days=30)
    free = await bench.make("localhost/barasync/step:free", below=base, days=30)

    async with using(bench.files, "run1", clock=lambda: time.time() - 30 * DAY) as uses:
        await uses.hold(held)
        assert await bench.prune("--keep", "0") == [free]
        assert await bench.present() == {base, held}

    assert await bench.prune("--keep", "0") == [held, base]


async def test_the_image_of_a_container_stays_with_what_it_is_made_from(bench: Bench) -> None:
    base = await bench.make("localhost/barasync/step:base", days=30)
    used = await bench.make("localhost/barasync/step:used", below=base, days=30)

    async with created(bench.podman, ContainerSpec(image=used, command=("true",))):
        assert await bench.prune("--keep", "0", "--dry-run") == []
        assert await bench.prune("--keep", "0") == []

    assert await bench.prune("--keep", "0") == [used, base]


async def test_the_parent_of_an_image_that_is_kept_stays(bench: Bench) -> None:
    base = await bench.make("localhost/barasync/step:base", days=30)
    step = await bench.make("localhost/barasync/step:step", below=base, days=30)
    finished = await bench.make("localhost/barasync/tools:amd64-1", below=step, days=1)

    assert await bench.prune("--older-than", "14d", "--keep", "3") == []
    assert await bench.present() == {base, step, finished}


async def test_what_has_a_name_of_the_user_is_never_touched(bench: Bench) -> None:
    """Be it tagged, or made from one of ours, or something else altogether."""
    tagged = await bench.make("localhost/barasync/tools:amd64-1", "localhost/tools:latest", days=90)
    base = await bench.make("localhost/barasync/step:base", days=90)
    theirs = await bench.make("localhost/mine:1", below=base, days=90)

    assert await bench.prune("--older-than", "1s", "--keep", "0", "--max-size", "0") == []
    assert await bench.present() == {tagged, base, theirs}
    assert (await bench.podman.images.inspect("localhost/tools:latest")).id == tagged
    assert (await bench.podman.images.inspect(bench.busybox)).id == bench.busybox


async def test_a_tag_of_the_content_goes_with_its_image(bench: Bench) -> None:
    tag = f"localhost/project:{'ab' * 6}"
    image = await bench.make(
        "localhost/barasync/step:1", "localhost/barasync/project:amd64-1", tag, days=30
    )

    assert await bench.prune("--older-than", "14d") == [image]
    with pytest.raises(NotFound):
        await bench.podman.images.inspect(tag)


async def test_an_image_that_lost_its_name_to_a_later_one_goes(bench: Bench) -> None:
    base = await bench.make("localhost/barasync/step:base", days=1)
    first = await bench.make("localhost/barasync/step:twin", below=base, mebibytes=1, days=30)
    later = await bench.make("localhost/barasync/step:twin", below=base, mebibytes=1, days=1)

    assert await bench.prune("--older-than", "14d") == [first]
    assert await bench.present() == {base, later}


async def test_without_a_bound_it_does_what_builds_do_at_their_end(bench: Bench) -> None:
    old = await bench.make("localhost/barasync/step:old", days=15)
    young = await bench.make("localhost/barasync/step:young", days=13)

    assert await bench.prune() == [old]
    assert await bench.present() == {young}


async def make_list(podman: Podman, name: str, *members: str) -> None:
    """Make a manifest list of images that are given by ID."""
    await podman.manifests.create(name)
    for member in members:
        architecture = (await podman.images.inspect(member)).architecture
        await podman.manifests.add(name, Member(image=member, architecture=architecture))


async def names(bench: Bench) -> set[str]:
    return {name for image in await bench.podman.images.list() for name in image.repo_tags}


async def test_a_manifest_list_of_content_goes_with_its_images(bench: Bench) -> None:
    members = [f"localhost/barasync/project:{arch}-1" for arch in ("amd64", "arm64")]
    images = [await bench.make(name, days=30) for name in members]
    listed = f"localhost/project:{'ab' * 6}"
    await make_list(bench.podman, listed, *images)

    ended = await to_thread.run_sync(bench.barasync, "image", "prune", "--older-than", "14d")

    assert ended.code == 0, ended.err
    assert f"{listed} (manifest list): removed" in ended.out
    assert listed not in await names(bench)
    assert await bench.present() == set()


@pytest.mark.parametrize("tag", ["latest", f"{'ab' * 5}", "v1"])
async def test_what_a_manifest_list_of_the_user_holds_stays(bench: Bench, tag: str) -> None:
    member = await bench.make("localhost/barasync/project:amd64-1", days=30)
    free = await bench.make("localhost/barasync/project:amd64-2", days=30)
    listed = f"localhost/project:{tag}"
    await make_list(bench.podman, listed, member)

    assert await bench.prune("--keep", "0") == [free]

    assert await bench.present() == {member}
    assert listed in await names(bench)
    await bench.podman.manifests.remove(listed)


async def test_a_list_without_an_image_for_this_platform_is_known_as_one(
    bench: Bench, busybox_for: Callable[[str], str]
) -> None:
    """Podman finds no image to inspect in it."""
    other = "arm64" if native_architecture() != "arm64" else "amd64"
    below = await to_thread.run_sync(busybox_for, other)
    member = await bench.make("localhost/barasync/project:other-1", below=below, days=30)
    await make_list(bench.podman, "localhost/project:v1", member)

    assert await bench.prune("--keep", "0") == []

    assert await bench.present() == {member}
    await bench.podman.manifests.remove("localhost/project:v1")
