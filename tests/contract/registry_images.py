"""Images that the tests of registries send and fetch; gone afterwards, whatever their names."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from barasync.aiopodman import Podman
from tests.rig import libpod
from tests.rig.registry import Registry

_LOCAL = "localhost/barasync-test/registry"


@dataclass(frozen=True, slots=True)
class Published:
    """A manifest list that is in a registry and not here.

    `ids` and `digests` are of its images by architecture, `digest` is that of the list.
    """

    reference: str
    ids: dict[str, str]
    digest: str
    digests: dict[str, str]


def unique_root() -> bytes:
    """Return a root file system of a layer that no other image has."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("etc/issue")
        member.size = 40_000
        tar.addfile(member, io.BytesIO(os.urandom(member.size)))
    return buffer.getvalue()


@asynccontextmanager
async def made(podman: Podman, architecture: str = "amd64") -> AsyncIterator[str]:
    """The ID of an image of its own."""

    async def root() -> AsyncIterator[bytes]:
        yield unique_root()

    name = f"{_LOCAL}:{architecture}"
    image_id = await podman.images.import_(root(), reference=name, architecture=architecture)
    try:
        yield image_id
    finally:
        with anyio.CancelScope(shield=True):
            await podman.images.remove(image_id, force=True, missing_ok=True)


@asynccontextmanager
async def published(
    podman: Podman, registry: Registry, name: str, *architectures: str
) -> AsyncIterator[Published]:
    """A manifest list of images of their own, sent to an open registry without our code.

    What was fetched of it is removed afterwards.
    """
    reference = f"{registry.host}/test/{name}:1"
    ids: dict[str, str] = {}
    try:
        _publish(podman.endpoint.socket_path, reference, architectures, ids)
        for image_id in ids.values():
            await podman.images.remove(image_id, force=True)
        digest = registry.digest(f"test/{name}", "1")
        assert digest is not None, f"{reference} did not get into the registry"
        yield Published(reference, ids, digest, registry.members(f"test/{name}", "1"))
    finally:
        with anyio.CancelScope(shield=True):
            for image_id in ids.values():
                await podman.images.remove(image_id, force=True, missing_ok=True)


def _publish(
    socket_path: str, reference: str, architectures: Sequence[str], ids: dict[str, str]
) -> None:
    path = f"manifests/{_LOCAL}-list:1"
    libpod.request(socket_path, "POST", path)
    try:
        for architecture in architectures:
            member = f"{_LOCAL}:{architecture}"
            ids[architecture] = libpod.import_image(
                socket_path, unique_root(), reference=member, architecture=architecture
            )
            added = {"operation": "update", "images": [f"containers-storage:{member}"]}
            libpod.request(socket_path, "PUT", path, body=added)
        query = {"all": "true", "tlsVerify": "false"}
        libpod.request(socket_path, "POST", f"{path}/registry/{reference}", query=query)
    finally:
        libpod.request(socket_path, "DELETE", path)
