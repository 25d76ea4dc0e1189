"""Images that something removes between the look for them and their use: they are made anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import Podman, Reference
from barasync.config.schema import ImageNetwork, ImageTable
from barasync.engine.build import BuildContext
from barasync.engine.images import TRIES, Images
from barasync.images.failures import ImageGone
from barasync.images.manifest import publish
from barasync.images.registry import Registries
from barasync.images.tags import give
from barasync.matrix.platforms import Platform, parse
from barasync.workspace.tree import Tree
from tests.fake.images import native_architecture
from tests.fake.service import FakeService

pytestmark = pytest.mark.anyio

NATIVE = Platform(native_architecture())
BASE = "localhost/base"
OFFLINE = ImageNetwork.NONE
DECLARED = {
    "base": ImageTable(from_=BASE, run=["echo 1 > a", "echo 2 > b"], network=OFFLINE),
    "top": ImageTable(from_="base", run=["cat a b > c"], network=OFFLINE),
}
ANOTHER_TOP = ImageTable(from_="base", run=["cat b a > c"], network=OFFLINE)


async def no_tree() -> Tree:
    raise AssertionError("nothing copies the project")


@asynccontextmanager
async def images(
    service: FakeService,
    directory: Path,
    *,
    on_hold: Callable[[str], object] = lambda _: None,
    **declared: ImageTable,
) -> AsyncIterator[Images]:
    """The images of a process of its own; what `on_hold` does comes before an image is held."""

    async def hold(image: str) -> None:
        await to_thread.run_sync(on_hold, image)

    async with Podman(service.endpoint, timeout=5) as podman:
        context = BuildContext(
            podman=podman,
            project=directory,
            tree=no_tree,
            labels={},
            maker={},
            logs=directory / "logs",
            locks=directory / "locks",
            processors=anyio.CapacityLimiter(1),
            hold=hold,
        )
        yield Images(
            {**DECLARED, **declared},
            context,
            registries=Registries(environ={}),
            cache_dir=directory,
            on_found=lambda _: None,
        )


class Remover:
    """Removes the image that is to be held, as a prune that was there first, `times` times."""

    def __init__(self, service: FakeService, times: int, spared: str) -> None:
        self._service = service
        self._left = times
        self._spared = spared
        self.removed: list[str] = []

    def __call__(self, image: str) -> None:
        if self._left and image != self._spared and image in self._service.images:
            self._left -= 1
            self._service.remove_image(image)
            self.removed.append(image)


async def test_a_step_that_was_found_and_is_gone_is_made_anew(
    service: FakeService, tmp_path: Path
) -> None:
    base = service.image(BASE)
    async with images(service, tmp_path) as source:
        first = await source.get(("base", NATIVE))
    remover = Remover(service, 1, base)
    async with images(service, tmp_path, on_hold=remover, top=ANOTHER_TOP) as source:
        made = await source.get(("top", NATIVE))

    assert remover.removed == [first]
    assert made in service.images
    assert first not in service.images


async def test_a_step_in_the_middle_of_an_image_that_is_gone_is_made_anew(
    service: FakeService, tmp_path: Path
) -> None:
    base = service.image(BASE)
    async with images(service, tmp_path) as source:
        await source.get(("top", NATIVE))
    changed = ImageTable(from_=BASE, run=["echo 1 > a", "echo 3 > b"], network=OFFLINE)
    remover = Remover(service, 1, base)
    async with images(service, tmp_path, on_hold=remover, base=changed) as source:
        made = await source.get(("base", NATIVE))

    assert len(remover.removed) == 1
    assert made in service.images


async def test_what_is_removed_again_and_again_is_said_at_last(
    service: FakeService, tmp_path: Path
) -> None:
    base = service.image(BASE)
    async with images(service, tmp_path) as source:
        await source.get(("base", NATIVE))
    remover = Remover(service, 1000, base)
    async with images(service, tmp_path, on_hold=remover, top=ANOTHER_TOP) as source:
        with pytest.raises(ImageGone, match=r"'base' for .*step 2/2 .*is not there any more"):
            await source.get(("top", NATIVE))

    assert TRIES <= len(remover.removed) <= 2 * TRIES


async def test_a_name_is_given_to_no_image_that_is_gone(service: FakeService) -> None:
    there = service.image(BASE)
    gone = service.image("localhost/other")
    service.remove_image(gone)
    name = Reference("localhost", "app", "latest")
    async with Podman(service.endpoint, timeout=2) as podman:
        with pytest.raises(ImageGone, match=f"image {gone[:12]} is not there any more"):
            await give(podman, name, gone)
        with pytest.raises(ImageGone, match=f"image {gone[:12]} is not there any more"):
            await publish(podman, str(name), {NATIVE: there, parse("riscv64"): gone})

        left = [image.id for image in await podman.images.list(all=True)]

    assert left == [there]
