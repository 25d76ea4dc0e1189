"""Which local image a name stands for, with real podmans."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from barasync.aiopodman import Podman
from barasync.errors import ImageError
from barasync.images.failures import WrongPlatform
from barasync.images.listing import Listing
from barasync.images.registry import Registries
from barasync.images.resolve import ResolvedImage, resolve
from barasync.matrix.platforms import Platform, parse
from tests.rig import libpod
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio

AMD64, ARM64, RISCV64 = map(parse, ("amd64", "arm64", "riscv64"))
LIST = "localhost/barasync-test/list:1"


async def resolved(podman: Podman, reference: str, platform: Platform) -> ResolvedImage:
    registries = Registries(environ={})
    listing = Listing(podman)
    return await resolve(
        podman,
        reference,
        platform,
        (),
        registries,
        listing=listing,
        on_progress=lambda _: None,
    )


@pytest.fixture
def manifest_list(
    service: RigService, busybox_for: Callable[[str], str]
) -> Iterator[dict[Platform, str]]:
    """A manifest list of two images, by platform."""
    members = {AMD64: busybox_for("amd64"), ARM64: busybox_for("arm64")}
    names = [f"containers-storage:localhost/busybox:{each.architecture}" for each in members]
    socket_path = service.endpoint.socket_path
    path = f"manifests/{LIST}"
    libpod.request(socket_path, "POST", path)
    try:
        added = {"operation": "update", "images": names}
        libpod.request(socket_path, "PUT", path, body=added)
        yield members
    finally:
        libpod.request(socket_path, "DELETE", path)


async def test_a_local_image_is_resolved_to_its_id(
    podman: Podman, busybox_for: Callable[[str], str]
) -> None:
    image_id = busybox_for("arm64")

    found = await resolved(podman, "localhost/busybox:arm64", ARM64)

    assert found == ResolvedImage(image_id, "localhost/busybox:arm64", ARM64)


async def test_image_of_any_architecture__another_one_is_refused_with_both_named(
    podman: Podman, busybox_for: Callable[[str], str]
) -> None:
    busybox_for("arm64")

    with pytest.raises(WrongPlatform) as caught:
        await resolved(podman, "localhost/busybox:arm64", AMD64)

    assert str(caught.value) == (
        "localhost/busybox:arm64 is an image for linux/arm64, not for linux/amd64"
    )


async def test_a_manifest_list_gives_the_image_of_each_platform(
    podman: Podman, manifest_list: dict[Platform, str]
) -> None:
    found = {platform: (await resolved(podman, LIST, platform)).id for platform in manifest_list}

    assert found == manifest_list


@pytest.mark.usefixtures("manifest_list")
async def test_a_manifest_list_without_the_platform_names_what_it_has(podman: Podman) -> None:
    with pytest.raises(WrongPlatform, match="linux/amd64, linux/arm64, not for linux/risc"):
        await resolved(podman, LIST, RISCV64)


async def test_a_missing_local_image_is_an_error_with_its_name(podman: Podman) -> None:
    with pytest.raises(ImageError, match="there is no image localhost/barasync-test/none:1"):
        await resolved(podman, "localhost/barasync-test/none:1", AMD64)


async def test_a_registry_that_does_not_exist_is_told_in_podmans_words(podman: Podman) -> None:
    with pytest.raises(ImageError, match=r"cannot be pulled: .*registry\.invalid") as caught:
        await resolved(podman, "registry.invalid/team/tool:1", AMD64)

    assert not isinstance(caught.value, WrongPlatform)


async def test_a_short_name_that_podman_cannot_complete_is_told_in_its_words(
    podman: Podman,
) -> None:
    with pytest.raises(ImageError, match=r'cannot be pulled: .*"barasync-no-such-image"'):
        await resolved(podman, "barasync-no-such-image", AMD64)
