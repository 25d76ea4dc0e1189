"""Manifest lists on real podmans: made, looked at, replaced in one step, pushed and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import anyio
import pytest

from barasync.aiopodman import (
    APIError,
    BadRequest,
    Conflict,
    ImageSummary,
    ManifestPlatform,
    Member,
    NotFound,
    Podman,
)
from barasync.errors import ImageError
from barasync.images.manifest import publish
from barasync.matrix.platforms import Platform, parse
from tests.contract.conftest import AnyService
from tests.rig import libpod
from tests.rig.busybox import archive, native_architecture
from tests.rig.services import RigService

pytestmark = [pytest.mark.anyio, pytest.mark.also_fake]

NAME = "localhost/barasync-test/list:latest"
OTHER = "localhost/barasync-test/list:other"
NATIVE = parse(native_architecture())
ARMV7, RISCV = parse("armv7"), parse("riscv64")
# What nothing is executed of may say to be for anything.
ARCHITECTURES = {NATIVE: native_architecture(), ARMV7: "armhf", RISCV: "riscv64"}


@pytest.fixture(autouse=True)
def no_list_is_left(service: AnyService) -> Iterator[None]:
    yield
    socket_path = service.endpoint.socket_path
    found = libpod.request(socket_path, "GET", "images/json", query={"all": "true"})
    names = [name for image in found for name in image["RepoTags"] or ()]
    for name in {NAME, OTHER} & set(names):
        libpod.request(socket_path, "DELETE", f"manifests/{name}")
    assert not [name for name in names if "barasync/list" in name], "a draft was left"


@pytest.fixture
def images(service: AnyService, busybox_for: Callable[[str], str]) -> Iterator[dict[Platform, str]]:
    """Images that no other test has pushed: such a one has a second digest (podman 4.3.1)."""
    if not isinstance(service, RigService):
        yield {platform: busybox_for(name) for platform, name in ARCHITECTURES.items()}
        return
    socket_path = service.endpoint.socket_path
    made = {
        platform: libpod.import_image(
            socket_path,
            archive(name),
            reference=f"localhost/barasync-test/member:{name}",
            architecture=name,
        )
        for platform, name in ARCHITECTURES.items()
    }
    yield made
    for image in made.values():
        with suppress(libpod.RefusedError):  # the test has removed it
            libpod.request(socket_path, "DELETE", f"images/{image}", query={"force": "true"})


async def listed(podman: Podman) -> dict[str, ImageSummary]:
    return {image.id: image for image in await podman.images.list(all=True)}


async def platforms(podman: Podman, name: str) -> list[ManifestPlatform]:
    entries = await podman.manifests.entries(name)
    return sorted((entry.platform for entry in entries), key=lambda its: its.architecture)


def expected(*members: Platform) -> list[ManifestPlatform]:
    return [
        ManifestPlatform(architecture=its.architecture, os=its.os, variant=its.variant)
        for its in sorted(members)
    ]


async def test_a_list_holds_the_images_with_the_platform_of_each(
    podman: Podman, images: dict[Platform, str]
) -> None:
    made = await publish(podman, NAME, images)

    here = await listed(podman)
    entries = await podman.manifests.entries(NAME)
    assert here[made].repo_tags == [NAME]
    assert await platforms(podman, NAME) == expected(*images)
    assert {entry.digest for entry in entries} == {here[each].digest for each in images.values()}


async def test_the_same_list_is_left_alone(podman: Podman, images: dict[Platform, str]) -> None:
    made = await publish(podman, NAME, images)
    before = await listed(podman)

    assert await publish(podman, NAME, images) == made
    assert await listed(podman) == before


async def test_a_new_list_takes_the_place_of_the_old_one_and_nothing_unnamed_is_left(
    podman: Podman, images: dict[Platform, str]
) -> None:
    before = await listed(podman)
    old = await publish(podman, NAME, {ARMV7: images[ARMV7]})

    made = await publish(podman, NAME, images)

    after = await listed(podman)
    assert old not in after
    assert after.keys() - before.keys() == {made}
    assert all(after[image] == before[image] for image in before), "an image lost a name"


async def test_an_old_list_that_has_another_name_keeps_that(
    podman: Podman, images: dict[Platform, str]
) -> None:
    old = await publish(podman, NAME, {ARMV7: images[ARMV7]})
    await podman.images.tag(old, *OTHER.rsplit(":", 1))

    await publish(podman, NAME, images)

    assert (await listed(podman))[old].repo_tags == [OTHER]
    assert await platforms(podman, OTHER) == expected(ARMV7)


async def test_a_list_takes_the_name_of_an_image_which_stays(
    podman: Podman, images: dict[Platform, str]
) -> None:
    await podman.images.tag(images[RISCV], *NAME.rsplit(":", 1))

    made = await publish(podman, NAME, images)

    after = await listed(podman)
    assert after[made].repo_tags == [NAME]
    assert NAME not in after[images[RISCV]].repo_tags


async def test_the_name_is_there_at_every_moment_while_a_list_is_replaced(
    podman: Podman, images: dict[Platform, str]
) -> None:
    await publish(podman, NAME, {ARMV7: images[ARMV7]})
    seen: list[bool] = []

    async with anyio.create_task_group() as group:

        async def look() -> None:
            while True:
                seen.append(await podman.manifests.exists(NAME))

        group.start_soon(look)
        for _ in range(5):
            await publish(podman, NAME, images)
            await publish(podman, NAME, {ARMV7: images[ARMV7]})
        group.cancel_scope.cancel()

    assert len(seen) > 10
    assert all(seen)


async def test_an_image_that_is_gone_leaves_the_old_list_and_no_draft(
    podman: Podman, images: dict[Platform, str]
) -> None:
    old = await publish(podman, NAME, {ARMV7: images[ARMV7]})

    with pytest.raises(ImageError, match=f"for 2 platforms {NAME}: image 0{{12}} is not there"):
        await publish(podman, NAME, {ARMV7: images[ARMV7], RISCV: "0" * 64})

    assert (await listed(podman))[old].repo_tags == [NAME]


async def test_a_name_is_given_to_a_new_list_only_once(podman: Podman) -> None:
    await podman.manifests.create(NAME)

    assert await podman.manifests.exists(NAME)
    assert await podman.manifests.entries(NAME) == []
    with pytest.raises(Conflict):
        await podman.manifests.create(NAME)


async def test_list_refuses_ids__a_member_is_given_by_its_id(
    podman: Podman, images: dict[Platform, str]
) -> None:
    made = await podman.manifests.create(NAME)
    member = Member(image=images[ARMV7], architecture="arm", variant="v7")

    await podman.manifests.add(made, member)
    await podman.manifests.add(NAME, member)

    assert await platforms(podman, NAME) == expected(ARMV7)
    with pytest.raises(BadRequest):
        await podman.manifests.add(NAME, Member(image="0" * 64, architecture="arm64"))
    with pytest.raises(NotFound):
        await podman.manifests.add(OTHER, member)


async def test_list_name_means_a_member__a_list_is_removed_and_its_images_stay(
    podman: Podman, images: dict[Platform, str]
) -> None:
    before = await listed(podman)
    made = await publish(podman, NAME, images)
    await podman.images.tag(made, *OTHER.rsplit(":", 1))

    assert (await podman.images.inspect(NAME)).id == images[NATIVE], "podman means the member"
    await podman.manifests.remove(OTHER)
    assert (await listed(podman))[made].repo_tags == [NAME]
    await podman.manifests.remove(NAME)

    assert await listed(podman) == before
    with pytest.raises(NotFound):
        await podman.manifests.remove(NAME)


async def test_list_is_asked_of_registries__an_image_is_no_list(
    podman: Podman, images: dict[Platform, str]
) -> None:
    assert not await podman.manifests.exists(images[NATIVE])
    with pytest.raises(NotFound, match="image is not a manifest list"):
        await podman.manifests.entries(images[NATIVE])
    with pytest.raises(NotFound):
        await podman.manifests.remove(images[NATIVE])
    assert await podman.images.exists(images[NATIVE])


async def test_a_list_that_is_not_here_is_not_pushed(podman: Podman) -> None:
    with pytest.raises(APIError):
        await podman.manifests.push(NAME, "localhost:1/x:y")
