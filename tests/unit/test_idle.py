"""The image of a run's idle containers."""

from __future__ import annotations

from collections.abc import AsyncIterable
from types import SimpleNamespace
from typing import cast

import anyio
import pytest

from barasync.aiopodman import NotFound, Podman, ServerError
from barasync.engine.gate import Gates
from barasync.engine.idle import IdleImage
from tests.unit.fake_podman import refused

pytestmark = pytest.mark.anyio


class Images:
    """Has none; makes one after the other, but for the first `failures`."""

    def __init__(self, failures: int = 0) -> None:
        self.asked = 0
        self.made = 0
        self._failures = failures

    async def inspect(self, reference: str) -> None:
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        raise refused(NotFound, f"no such image {reference}")

    async def import_(self, _chunks: AsyncIterable[bytes], **_settings: object) -> str:
        if self._failures:
            self._failures -= 1
            raise refused(ServerError, "no space left on device")
        self.made += 1
        return f"image{self.made}"


def podman(images: Images) -> Podman:
    return cast("Podman", SimpleNamespace(images=images))


async def test_podman_is_asked_once_in_a_run() -> None:
    images, idle = Images(), IdleImage()

    first = await idle.get(podman(images), Gates())
    second = await idle.get(podman(images), Gates())

    assert first is second
    assert (first.image, images.asked) == ("image1", 1)


async def test_one_that_is_gone_is_asked_for_anew_once() -> None:
    images, idle, gates = Images(), IdleImage(), Gates()
    gone = await idle.get(podman(images), gates)

    idle.forget(gone)
    assert (await idle.get(podman(images), gates)).image == "image2"
    # Another attempt had the same one, and tells later.
    idle.forget(gone)
    assert (await idle.get(podman(images), gates)).image == "image2"


async def test_a_podman_that_has_failed_is_asked_again() -> None:
    images, idle = Images(failures=1), IdleImage()

    with pytest.raises(ServerError):
        await idle.get(podman(images), Gates())

    assert (await idle.get(podman(images), Gates())).image == "image1"
