"""The declared images of a project, made once per platform."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import Podman
from barasync.config.schema import BootstrapTable, ImageTable
from barasync.engine.images import Images, Making
from barasync.images.bootstrap import recipe_for
from barasync.matrix.platforms import Platform, parse
from tests.unit.image_store import ImageStore

pytestmark = pytest.mark.anyio

ARM64 = parse("arm64")
PACKAGES = BootstrapTable(suite="trixie", packages=["make"])
TABLE = ImageTable(bootstrap=PACKAGES)


def images(
    podman: Podman,
    declared: dict[str, ImageTable],
    progress: list[str],
    held: list[str] | None = None,
) -> Images:
    async def hold(image: str) -> None:
        if held is not None:
            held.append(image)

    def tell(name: str, platform: Platform, line: str) -> None:
        progress.append(f"{name} {platform}: {line}")

    making = Making(podman=podman, cache_dir=Path("/nowhere"), hold=hold, on_progress=tell)
    return Images(declared, making)


async def test_a_declared_name_is_the_image_of_its_recipe() -> None:
    store = ImageStore()
    recipe = recipe_for("toolchain", PACKAGES, ARM64)
    image = store.add(recipe.reference, "arm64", labels={"barasync.key": recipe.key})
    held: list[str] = []

    async with store.client() as podman:
        found = await images(podman, {"toolchain": TABLE}, [], held).get(("toolchain", ARM64))

    assert found == image.id
    assert held == [image.id], "it may be pruned while it is used"


async def test_an_image_is_looked_for_once_however_many_ask_and_again_when_it_is_gone() -> None:
    store = ImageStore()
    image = store.add("localhost/x:latest", "arm64")
    key = ("localhost/x:latest", ARM64)

    async with store.client() as podman:
        source = images(podman, {}, [])
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(source.get, key)
        assert len(store.requests) == 1
        source.forget(key, image.id)
        assert await source.get(key) == image.id

    assert len(store.requests) == 2
