"""The images of a run: prepared again where they are removed meanwhile, and how it ends without."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.config.schema import WorkspaceMode
from barasync.config.services import Service
from barasync.engine.run import RunResult
from barasync.errors import ImageError
from barasync.images.failures import WrongPlatform
from barasync.matrix.outcome import Status
from barasync.matrix.platforms import Platform
from tests.unit.fake_podman import Script
from tests.unit.world import World

pytestmark = pytest.mark.anyio


class Images:
    """Prepares an image of a new ID each time; `removed` of them are removed right away."""

    def __init__(self, *, removed: int) -> None:
        self.made = 0
        self.removed = removed
        self.world: World | None = None

    async def __call__(self, _image: str, _platform: Platform) -> str:
        assert self.world is not None
        self.made += 1
        name = f"image-{self.made}"
        if self.made <= self.removed:
            self.world.podman.missing.add(name)
        return name


async def run_over(images: Images) -> RunResult:
    images.world = World({"a": Script(), "b": Script()}, image=images, workspace=WorkspaceMode.NONE)
    result = await images.world.result()
    assert images.world.podman.present == {}
    return result


async def test_an_image_that_is_removed_meanwhile_is_prepared_again_for_all_its_cells() -> None:
    images = Images(removed=1)

    result = await run_over(images)

    assert result.exit_code == 0
    assert images.made == 2


async def test_an_image_that_is_removed_before_it_fills_a_cache_is_prepared_again(
    tmp_path: Path,
) -> None:
    images = Images(removed=1)
    world = World(
        {"a": Script()},
        image=images,
        workspace=WorkspaceMode.NONE,
        caches=("c:/c:cow",),
        locks=tmp_path,
    )
    images.world = world

    assert await world.statuses() == {"a": Status.PASSED}
    assert images.made == 2
    assert [spec.image for spec in world.podman.created] == ["image-2", "image-2"]


async def test_an_image_that_is_removed_every_time_is_an_infrastructure_error() -> None:
    images = Images(removed=100)

    result = await run_over(images)

    outcomes = result.outcomes.values()
    assert {outcome.status for outcome in outcomes} == {Status.INFRASTRUCTURE_ERROR}
    assert all("no such image" in outcome.reason for outcome in outcomes)
    assert images.made <= 4


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ImageError("no such image"), Status.INFRASTRUCTURE_ERROR),
        (WrongPlatform("is for arm64"), Status.WRONG_PLATFORM),
    ],
)
async def test_an_image_that_cannot_be_had_ends_with_5(error: ImageError, status: Status) -> None:
    async def fail(_image: str, _platform: Platform) -> str:
        raise error

    result = await World({"a": Script(), "b": Script()}, image=fail).result()

    assert {outcome.status for outcome in result.outcomes.values()} == {status}
    assert result.outcomes["a"].reason == str(error)
    assert result.exit_code == 5


async def test_a_native_service_has_an_image_of_the_host_and_others_one_of_their_cell() -> None:
    asked = []

    async def image(name: str, platform: Platform) -> str:
        asked.append((name, platform))
        if name == "queue":
            raise ImageError("there is no such image")
        return name

    services = (
        Service(image="db", name="db", native=True),
        Service(image="queue", name="queue"),
    )
    world = World({"a": Script()}, image=image, native=Platform("arm64"), services=services)

    assert await world.statuses() == {"a": Status.INFRASTRUCTURE_ERROR}
    assert asked == [
        ("image", Platform("amd64")),
        ("db", Platform("arm64")),
        ("queue", Platform("amd64")),
    ]
