"""Manifest lists: several images under one name, one for each platform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from barasync.aiopodman.errors import NotFound
from barasync.aiopodman.libpod import InvalidName, Libpod, segments
from barasync.aiopodman.login import RegistryLogin, login_headers
from barasync.aiopodman.models import Created, ManifestEntry, ManifestList
from barasync.aiopodman.transfer import failed, transfer
from barasync.aiopodman.wire.documents import decode_document
from barasync.aiopodman.wire.reference import parse_reference

# Without it an old podman takes an ID for the name of an image in a registry
# (`quirks.LIST_REFUSES_IDS`).
_STORAGE = "containers-storage:"

# One that is replaced meanwhile may be missed once (`quirks.LIST_IS_MISSED_WHILE_REPLACED`).
_LOOKS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An image of a manifest list: its ID, and the platform that the list is to say it is for.

    An empty `variant` leaves what the image says of itself.
    """

    image: str
    architecture: str
    variant: str = ""
    os: str = "linux"


class Manifests:
    """The manifest lists in the storage of one podman service.

    `reference` is a list's name or its ID, which `images.list` shows. `images.tag` with the ID of a
    list names the list.
    """

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod

    async def exists(self, reference: str) -> bool:
        """Tell whether there is a manifest list of that name here; an image is none.

        Source: `GET /libpod/manifests/{name}/exists`.
        """
        for _ in range(_LOOKS):
            with suppress(NotFound, InvalidName):
                await self._libpod.ask(f"{_path(reference)}/exists")
                return True
        return False

    async def entries(self, reference: str) -> Sequence[ManifestEntry]:
        """Return what the list holds, one entry per platform; the images need not be here.

        Raises:
            NotFound: there is no such manifest list.

        Source: `GET /libpod/manifests/{name}/json`, for what is a list alone: of anything else
        podman asks a registry (`quirks.LIST_IS_ASKED_OF_REGISTRIES`).
        """
        if not await self.exists(reference):
            cause = "image is not a manifest list"
            path = f"{_path(reference)}/json"
            raise NotFound(
                status=404,
                cause=cause,
                message=f"{reference}: {cause}",
                method="GET",
                path=f"/libpod/{path}",
            )
        return (await self._libpod.get(f"{_path(reference)}/json", ManifestList)).manifests

    async def create(self, name: str) -> str:
        """Make an empty list under a name that nothing has yet; return its ID.

        Raises:
            Conflict: an image or a list has that name.
            InvalidReference: `name` is none.

        Source: `POST /libpod/manifests/{name}`.
        """
        parse_reference(name)
        answer = await self._libpod.post(_path(name))
        return decode_document(answer.body, Created).id

    async def add(self, reference: str, member: Member) -> None:
        """Add an image that is here to a list; one of the same ID takes the place of itself.

        Raises:
            NotFound: there is no such list.
            BadRequest: there is no such image.

        Source: `PUT /libpod/manifests/{name}`.
        """
        body = {
            "operation": "update",
            "images": [_STORAGE + member.image],
            "arch": member.architecture,
            "os": member.os,
            "variant": member.variant,
        }
        await self._libpod.put_document(_path(reference), body)

    async def add_from_registry(
        self,
        reference: str,
        source: str,
        *,
        login: RegistryLogin | None = None,
        tls_verify: bool | None = None,
    ) -> None:
        """Add what a name stands for in its registry, of a manifest list all of its images.

        Their content is not fetched, and their digests are what podman computes of the manifests
        there. `login` and `tls_verify` are those of `images.pull`. Takes as long as the registry.

        Raises:
            APIError: there is no such list, or the registry does not give the manifest.
            InvalidReference: `source` is none.

        Source: `PUT /libpod/manifests/{name}`.
        """
        parse_reference(source)
        body = {"operation": "update", "images": [f"docker://{source}"], "all": True}
        await self._libpod.put_document(
            _path(reference),
            body,
            {"tlsVerify": tls_verify},
            headers=login_headers(login),
            patience=None,
        )

    async def push(
        self,
        reference: str,
        destination: str,
        *,
        login: RegistryLogin | None = None,
        tls_verify: bool | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> str:
        """Send a list and all of its images to the registry that `destination` names.

        Returns the digest that the list has there, `sha256:…`. The arguments are those of
        `images.push`. When cancelled, the name in the registry stands for what it stood for before.

        Raises:
            APIError: it could not be sent, or there is no such list.
            InvalidReference: `destination` is none.

        Source: `POST /libpod/manifests/{name}/registry/{destination}`; with `quiet=false` podman
        tells its progress and answers 200 before it has failed.
        """
        parse_reference(destination)
        path = f"{_path(reference)}/registry/{segments(destination)}"
        failure = f"{reference} could not be pushed to {destination}"
        end = await transfer(
            self._libpod,
            path,
            {"all": True, "tlsVerify": tls_verify, "quiet": False},
            login=login,
            on_progress=on_progress,
            failure=failure,
        )
        if not end.list_digest:
            raise failed(path, failure, "podman named no digest at the end of the push")
        return end.list_digest

    async def remove(self, reference: str, *, missing_ok: bool = False) -> None:
        """Take a name from a list, and remove the list with its last; its images stay.

        An ID removes a list that has one name or none.

        Raises:
            NotFound: there is no such list, and `missing_ok` is false; an image is none.

        Source: `DELETE /libpod/manifests/{name}`.
        """
        try:
            await self._libpod.delete(_path(reference))
        except NotFound:
            if not missing_ok:
                raise


def _path(reference: str) -> str:
    return f"manifests/{segments(reference)}"
