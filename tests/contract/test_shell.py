"""Whether an image's shell is for the platform that the image claims, on real podman."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from anyio import to_thread

from barasync.aiopodman import Podman
from barasync.images.elf import executable
from barasync.images.emulation import Host
from barasync.images.failures import WrongPlatform
from barasync.images.program import Program, program_image
from barasync.images.shell import check_shell
from barasync.matrix.platforms import Platform, native, parse
from tests.rig import busybox

pytestmark = pytest.mark.anyio

OWN = native(Host.current().machine)
OTHER = parse("arm64" if parse("arm64") != OWN else "riscv64")
LABELS = {"barasync.test": "shell"}


async def imported(podman: Podman, content: Platform, claimed: Platform) -> str:
    """Make an image of a busybox for one platform that says it is for another."""

    archive = await to_thread.run_sync(busybox.archive, content.architecture)

    async def pieces() -> AsyncIterator[bytes]:
        yield archive

    return await podman.images.import_(
        pieces(),
        reference=f"localhost/barasync-test-shell:{content.architecture}-{claimed.architecture}",
        architecture=claimed.architecture,
        variant=claimed.variant,
        os="linux",
    )


@pytest.mark.parametrize("platform", [OWN, OTHER], ids=["own", "other"])
async def test_an_image_that_is_what_it_says_passes(podman: Podman, platform: Platform) -> None:
    image = await imported(podman, platform, platform)

    await check_shell(podman, image, "x", platform, labels=LABELS)

    assert await podman.containers.list(labels=LABELS, all=True) == []


async def test_an_image_whose_shell_is_for_another_machine_is_refused(podman: Podman) -> None:
    image = await imported(podman, OTHER, OWN)

    with pytest.raises(WrongPlatform) as caught:
        await check_shell(podman, image, "r.example/x:1", OWN, labels=LABELS)

    assert str(caught.value) == (
        f"image r.example/x:1 says that it is for {OWN}, but its /bin/sh is for "
        f"{OTHER.architecture}"
    )
    assert caught.value.hint is not None
    assert await podman.containers.list(labels=LABELS, all=True) == []


async def test_an_image_without_a_shell_has_nothing_to_compare(podman: Podman) -> None:
    program = Program(kind="probe", platform=OWN, content=executable(OWN))

    await check_shell(podman, await program_image(podman, program), "x", OWN)
