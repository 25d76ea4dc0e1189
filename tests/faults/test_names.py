"""Names of built images: given once, taken from whatever had them, and said where that fails."""

from __future__ import annotations

import pytest

from barasync.aiopodman import Podman, Reference
from barasync.errors import EngineUnavailable, ImageError
from barasync.images.manifest import publish
from barasync.images.tags import give
from barasync.matrix.platforms import parse
from tests.fake.faults import Dies, Fault, Refuses
from tests.fake.service import FakeService

pytestmark = pytest.mark.anyio

NAME = Reference("localhost", "app", "latest")


async def names(podman: Podman) -> dict[str, list[str]]:
    return {image.id: image.repo_tags for image in await podman.images.list(all=True)}


async def test_a_name_goes_from_one_image_to_the_next(service: FakeService) -> None:
    one, two = service.image("localhost/one"), service.image("localhost/two")
    async with Podman(service.endpoint, timeout=2) as podman:
        for image in (one, two, two):
            await give(podman, NAME, image)
        named = await names(podman)

    assert named == {
        one: ["localhost/one:latest"],
        two: ["localhost/two:latest", "localhost/app:latest"],
    }


async def test_a_list_that_loses_its_only_name_goes(service: FakeService) -> None:
    one, two = service.image("localhost/one"), service.image("localhost/two")
    async with Podman(service.endpoint, timeout=2) as podman:
        await publish(podman, str(NAME), {parse("amd64"): one, parse("arm64"): two})
        assert len(await names(podman)) == 3
        await give(podman, NAME, one)
        named = await names(podman)

    assert named.keys() == {one, two}
    assert "localhost/app:latest" in named[one]


async def test_a_list_with_another_name_stays(service: FakeService) -> None:
    one, two = service.image("localhost/one"), service.image("localhost/two")
    async with Podman(service.endpoint, timeout=2) as podman:
        made = await publish(podman, str(NAME), {parse("amd64"): one, parse("arm64"): two})
        await podman.images.tag(made, "localhost/kept", "1")
        await give(podman, NAME, one)

        assert (await names(podman))[made] == ["localhost/kept:1"]


async def test_a_refusal_says_which_name_of_which_image(service: FakeService) -> None:
    image = service.image("localhost/one")
    service.inject(Fault("image-tag", Refuses("no space left on device")))
    async with Podman(service.endpoint, timeout=2) as podman:
        with pytest.raises(ImageError, match=f"naming image {image[:12]} localhost/app:latest: no"):
            await give(podman, NAME, image)


async def test_a_service_that_dies_over_it_is_unavailable(service: FakeService) -> None:
    image = service.image("localhost/one")
    service.inject(Fault("image-tag", Dies()))
    async with Podman(service.endpoint, timeout=2) as podman:
        with pytest.raises(EngineUnavailable, match="naming image"):
            await give(podman, NAME, image)
