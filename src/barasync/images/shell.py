"""Whether the programs in an image are for the platform that it claims.

An image's architecture is what whoever made it wrote down: `podman build --arch` on a base of
another one, or an import, may have written what is not so. Its shell tells.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from barasync.aiopodman import ContainerSpec, NotFound, Podman, temporary
from barasync.images.elf import ELF_MAGIC, HEADER_BYTES, machine_of
from barasync.images.failures import WrongPlatform, explained
from barasync.matrix.platforms import Platform

_SHELL = "/bin/sh"
_READ_BYTES = 16 * 1024


async def check_shell(
    podman: Podman,
    image_id: str,
    name: str,
    platform: Platform,
    *,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Compare the ELF header of an image's shell with the image's platform.

    The header is read through a container that is never started, with `labels` on it; it is removed
    when cancelled too. An image without `/bin/sh`, or with one that is no ELF file, passes: there
    is nothing to compare. So do the variants of ARM, whose headers are alike.

    Raises:
        WrongPlatform: the shell is for another machine; `name` is what the image is called there.
        ImageError: podman cannot make the container.
        EngineUnavailable: podman does not answer.
    """
    with explained(f"reading {_SHELL} of image {name} for {platform}"):
        header = await _header(podman, image_id, labels)
    if not header.startswith(ELF_MAGIC):
        return
    machine = machine_of(header)
    if machine != platform.architecture:
        raise WrongPlatform(
            f"image {name} says that it is for {platform}, "
            f"but its {_SHELL} is for {machine or 'a machine that is not known'}",
            hint="it was built or imported for the wrong platform; make it anew from a base for "
            f"{platform}",
        )


async def _header(podman: Podman, image_id: str, labels: Mapping[str, str]) -> bytes:
    """Return the beginning of the shell, empty where there is none."""
    spec = ContainerSpec(image=image_id, command=(_SHELL,), labels=labels)
    async with temporary(podman.containers, spec) as container:
        found = await container.stat(_SHELL)
        if found is None or found.is_directory or found.special is not None:
            return b""
        try:
            async with container.archive(found.target or _SHELL) as pieces:
                return _content(await _beginning(pieces))
        except NotFound:  # a link that leads nowhere
            return b""


async def _beginning(pieces: AsyncIterator[bytes]) -> bytes:
    data = bytearray()
    async for piece in pieces:
        data += piece[: _READ_BYTES - len(data)]
        if len(data) == _READ_BYTES:
            break
    return bytes(data)


def _content(archive: bytes) -> bytes:
    """Return what is there of the header of the first file in the beginning of a tar archive."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            member = tar.next()
    except tarfile.TarError:
        return b""
    if member is None or not member.isreg():
        return b""
    return archive[member.offset_data :][: min(member.size, HEADER_BYTES)]
