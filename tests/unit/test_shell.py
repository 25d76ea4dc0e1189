"""Comparing an image's shell with its platform, without podman."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from barasync.aiopodman import PathStat
from barasync.images import shell
from barasync.images.elf import executable
from barasync.images.failures import WrongPlatform
from barasync.images.shell import check_shell
from barasync.matrix.platforms import Platform, parse

pytestmark = pytest.mark.anyio

AMD64, ARM64, ARMV6, ARMV7 = map(parse, ("amd64", "arm64", "armv6", "armv7"))


class Image:
    """A container of an image: what is at which path, and where a link ends."""

    def __init__(self, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> None:
        self._files = files
        self._links = links or {}
        self.read = 0

    async def stat(self, path: str) -> PathStat | None:
        if path in self._links:
            return PathStat(is_directory=False, target=self._links[path])
        return PathStat(is_directory=False, target=None) if path in self._files else None

    @asynccontextmanager
    async def archive(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        yield self._pieces(self._files[path])

    async def _pieces(self, content: bytes) -> AsyncIterator[bytes]:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            member = tarfile.TarInfo("sh" * 60)  # takes a header of its own before
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        data = buffer.getvalue()
        for start in range(0, len(data), 700):
            self.read += 1
            yield data[start : start + 700]


async def checked(image: Image, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def temporary(_containers: object, _spec: object) -> AsyncIterator[Image]:
        yield image

    class Podman:
        containers = None

    monkeypatch.setattr(shell, "temporary", temporary)
    await check_shell(Podman(), "id", "x", platform)  # type: ignore[arg-type]  # all it is asked


@pytest.mark.parametrize("platform", [AMD64, ARM64, ARMV6, ARMV7], ids=str)
async def test_the_shell_of_the_platform_passes(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    await checked(Image({"/bin/sh": executable(platform)}), platform, monkeypatch)


async def test_the_end_of_a_link_is_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/usr/bin/dash": executable(ARM64)}
    image = Image(files, {"/bin/sh": "/usr/bin/dash"})

    with pytest.raises(WrongPlatform, match="but its /bin/sh is for arm64"):
        await checked(image, AMD64, monkeypatch)


async def test_a_machine_that_is_not_in_the_table_is_refused_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = bytearray(executable(AMD64))
    program[18:20] = b"\xff\xff"

    with pytest.raises(WrongPlatform, match="a machine that is not known"):
        await checked(Image({"/bin/sh": bytes(program)}), AMD64, monkeypatch)


@pytest.mark.parametrize("content", [b"", b"#!/bin/ash\n", b"\x7fEL"], ids=repr)
async def test_what_is_no_elf_file_is_not_compared(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await checked(Image({"/bin/sh": content}), AMD64, monkeypatch)
    await checked(Image({}), AMD64, monkeypatch)


async def test_only_the_beginning_of_a_shell_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image({"/bin/sh": executable(AMD64) + bytes(1024 * 1024)})

    await checked(image, AMD64, monkeypatch)

    assert image.read < 50
