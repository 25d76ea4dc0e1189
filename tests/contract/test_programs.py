"""Which names are programs of an image, on real podman."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, Podman
from barasync.images.programs import Programs, read_answers
from tests.contract.running import created

pytestmark = pytest.mark.anyio

PLACE = "/opt/programs"
FILES = {"tool": 0o755, "only-root": 0o700, "text": 0o644, "[": 0o755, "same": 0o644}
LINKS = {"link": "tool", "to-text": "text", "nowhere": "gone", "to-directory": "/opt"}


def packed() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in FILES.items():
            member = tarfile.TarInfo(name)
            member.mode = mode
            tar.addfile(member)
        for name, target in LINKS.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
        for name in ("directory", "second", "second/same"):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.REGTYPE if "/" in name else tarfile.DIRTYPE, 0o755
            tar.addfile(member)
    return buffer.getvalue()


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
async def image(podman: Podman, busybox: str, no_image_stays: None) -> str:
    """The ID of an image with files of every kind in `PLACE`, which its PATH ends with."""
    del no_image_stays
    async with created(podman, ContainerSpec(image=busybox, command=("true",))) as container:
        await container.put_archive(PLACE, pieces(packed()))
        path = f"ENV PATH=:relative:/bin/:{PLACE}:{PLACE}/second"
        return await container.commit(repository="localhost/programs", tag="test", changes=(path,))


async def test_a_program_is_what_the_path_of_the_image_leads_to_and_may_be_executed(
    podman: Podman, image: str, tmp_path: Path
) -> None:
    names = [*FILES, *LINKS, "directory", "second", "ls", "bar", "Tool"]

    found = await Programs(podman, tmp_path / "answers.json").find(image, names)

    # Podman takes `[` for the beginning of a class of characters.
    assert found == {"tool", "only-root", "same", "link", "ls"}


async def test_archive_path_is_a_pattern__what_is_looked_at_may_be_another_file(
    podman: Podman, image: str
) -> None:
    async with created(podman, ContainerSpec(image=image, command=("true",))) as container:
        assert await container.stat(f"{PLACE}/[") is None
        by_pattern = await container.stat(f"{PLACE}/too?")
        by_name = await container.stat(f"{PLACE}/tool")

    assert by_pattern == by_name is not None


async def test_another_path_takes_the_place_of_that_of_the_image(
    podman: Podman, image: str, tmp_path: Path
) -> None:
    programs = Programs(podman, tmp_path / "answers.json")

    assert await programs.find(image, ["tool", "ls"], path=f"{PLACE}/second:{PLACE}") == {"tool"}
    assert await programs.find(image, ["tool", "ls"], path="/bin") == {"ls"}
    assert await programs.find(image, ["tool", "ls"]) == {"tool", "ls"}


async def test_what_was_found_once_is_not_looked_for_again(
    podman: Podman, image: str, tmp_path: Path
) -> None:
    file = tmp_path / "cache" / "answers.json"
    await Programs(podman, file).find(image, ["tool", "bar"])

    kept = await to_thread.run_sync(read_answers, file)
    answers = {name: answer.found for (_, _, name), answer in kept.items()}
    assert answers == {"tool": True, "bar": False}
    # Whoever asks nobody would fail.
    nobody = cast("Podman", None)
    assert await Programs(nobody, file).find(image, ["tool", "bar"]) == {"tool"}


async def test_podmans_path_is_that_of_an_image_without_one(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    settings = (await podman.images.inspect(busybox)).config.env
    assert not any(setting.startswith("PATH=") for setting in settings)

    assert await Programs(podman, tmp_path / "answers.json").find(busybox, ["ls", "bar"]) == {"ls"}
