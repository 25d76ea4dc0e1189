"""Images on real podmans, through the client alone."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from barasync.aiopodman import (
    Conflict,
    ContainerSpec,
    InvalidReference,
    NotFound,
    Podman,
    ServerError,
)
from tests.contract.running import created, shell

pytestmark = pytest.mark.anyio

NAME = "localhost/barasync-test"


async def archive(text: str) -> AsyncIterator[bytes]:
    """A root file system with one file, so that its image has an ID of its own."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("etc/issue")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    yield buffer.getvalue()


@asynccontextmanager
async def imported(podman: Podman, tag: str, *changes: str) -> AsyncIterator[str]:
    """The ID of an image for arm64 that is gone after the block."""
    image = await podman.images.import_(
        archive(tag), reference=f"{NAME}:{tag}", architecture="arm64", variant="v8", changes=changes
    )
    try:
        yield image
    finally:
        with anyio.move_on_after(20, shield=True):
            await podman.images.remove(image, force=True, missing_ok=True)


async def test_an_imported_image_is_for_the_platform_and_has_the_settings_asked_for(
    podman: Podman,
) -> None:
    async with imported(podman, "import", "LABEL a=b c", "ENV X=1", "WORKDIR /w") as image_id:
        image = await podman.images.inspect(f"{NAME}:import")

    assert image.id == image_id
    assert (image.os, image.architecture) == ("linux", "arm64")
    assert image.labels["a"] == "b c"
    assert "X=1" in image.config.env
    assert image.config.working_dir == "/w"
    assert image.repo_tags == [f"{NAME}:import"]
    assert image.created is not None
    assert image.size > 0


async def test_images_are_found_by_name_and_by_label(podman: Podman) -> None:
    async with imported(podman, "list", "LABEL barasync.test=list") as image:
        by_name = await podman.images.list(reference=f"{NAME}*")
        by_label = await podman.images.list(labels={"barasync.test": "list"})
        by_key = await podman.images.list(labels={"barasync.test": None})
        none = await podman.images.list(labels={"barasync.test": "other"})

    assert image in [found.id for found in by_name]
    assert [found.id for found in by_label] == [found.id for found in by_key] == [image]
    assert by_label[0].labels["barasync.test"] == "list"
    assert none == []


async def test_an_image_is_known_by_every_name_it_has(podman: Podman) -> None:
    async with imported(podman, "names") as image:
        await podman.images.tag(image, NAME, "second")
        assert (await podman.images.inspect(f"{NAME}:second")).id == image
        assert await podman.images.exists(image)

        await podman.images.untag(image, NAME, "second")
        assert not await podman.images.exists(f"{NAME}:second")
        assert await podman.images.exists(f"{NAME}:names")


async def test_removing_the_last_name_removes_the_image(podman: Podman) -> None:
    async with imported(podman, "remove") as image:
        await podman.images.remove(f"{NAME}:remove")

        assert not await podman.images.exists(image)
        with pytest.raises(NotFound):
            await podman.images.remove(image)
        await podman.images.remove(image, missing_ok=True)


async def test_an_image_in_use_is_not_removed(podman: Podman) -> None:
    async with imported(podman, "used") as image:
        async with created(podman, shell(image, "true")):
            with pytest.raises(Conflict):
                await podman.images.remove(image)
        await podman.images.remove(image)


async def test_commit_keeps_the_architecture_of_a_foreign_image(podman: Podman) -> None:
    async with imported(podman, "foreign") as base:
        spec = ContainerSpec(image=base, command=("sh",), labels={"from": "container"})
        async with created(podman, spec) as container:
            await container.put_archive("/workspace", archive("project"))
            committed = await container.commit(
                repository=NAME, tag="committed", changes=("WORKDIR /workspace", "LABEL a=b")
            )
        image = await podman.images.inspect(committed)
        async with (
            created(podman, shell(committed, "true")) as container,
            container.archive("/workspace/etc/issue") as data,
        ):
            content = b"".join([piece async for piece in data])
        await podman.images.remove(committed)

    assert image.architecture == "arm64"
    assert image.config.working_dir == "/workspace"
    assert image.labels == {"from": "container", "a": "b"}
    assert image.repo_tags == [f"{NAME}:committed"]
    assert b"project" in content


async def test_a_pull_of_what_is_here_takes_it_without_a_registry(podman: Podman) -> None:
    async with imported(podman, "here") as image:
        assert await podman.images.pull(f"{NAME}:here", policy="missing") == image
        assert await podman.images.pull(f"{NAME}:here", policy="never") == image


async def test_pull_fails_after_200__it_says_why(podman: Podman) -> None:
    with pytest.raises(ServerError, match=r"barasync-test:absent could not be pulled: .+"):
        await podman.images.pull(f"{NAME}:absent", policy="never")


async def test_what_is_no_archive_cannot_be_imported(podman: Podman) -> None:
    async def garbage() -> AsyncIterator[bytes]:
        yield b"no archive" * 1000

    with pytest.raises(ServerError):
        await podman.images.import_(garbage(), reference=f"{NAME}:garbage")

    assert not await podman.images.exists(f"{NAME}:garbage")


async def test_a_bad_reference_leaves_no_image_without_a_name(podman: Podman) -> None:
    before = {image.id for image in await podman.images.list()}

    with pytest.raises(InvalidReference):
        await podman.images.import_(archive("bad"), reference="localhost/BAD")

    assert {image.id for image in await podman.images.list()} == before


async def test_an_upload_that_breaks_off_leaves_no_image(podman: Podman) -> None:
    class Broken(Exception):
        pass

    async def breaking_off() -> AsyncIterator[bytes]:
        async for piece in archive("broken"):
            yield piece[:512]
        raise Broken

    with pytest.raises(Broken):
        await podman.images.import_(breaking_off(), reference=f"{NAME}:broken")

    assert not await podman.images.exists(f"{NAME}:broken")
