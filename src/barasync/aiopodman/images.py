"""Images: look at, import, pull, tag and remove them."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from typing import Literal

from barasync.aiopodman.errors import NotFound
from barasync.aiopodman.libpod import (
    InvalidName,
    Libpod,
    carries,
    encode_filters,
    label_filters,
    segments,
)
from barasync.aiopodman.login import RegistryLogin
from barasync.aiopodman.models import (
    Created,
    ImageInspect,
    ImageSummary,
)
from barasync.aiopodman.transfer import failed, transfer
from barasync.aiopodman.wire.documents import decode_document
from barasync.aiopodman.wire.reference import parse_reference

PullPolicy = Literal["always", "missing", "never", "newer"]


class Images:
    """The images in the storage of one podman service.

    `reference` is a name (`localhost/x:y`, short or full) or an ID.
    """

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod

    async def exists(self, reference: str) -> bool:
        """Tell whether there is such an image here; of whatever architecture.

        Source: `GET /libpod/images/{name}/json`.
        """
        try:
            await self.inspect(reference)
        except (NotFound, InvalidName):
            return False
        return True

    async def inspect(self, reference: str) -> ImageInspect:
        """Return an image's platform, names and settings.

        Raises:
            NotFound: there is no such image.

        Source: `GET /libpod/images/{name}/json`.
        """
        return await self._libpod.get(f"images/{segments(reference)}/json", ImageInspect)

    async def list(
        self,
        *,
        reference: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        all: bool = False,  # noqa: A002 podman's name
    ) -> list[ImageSummary]:
        """Return the images whose name matches the pattern and that carry every one of `labels`.

        A label whose value is `None` matches whatever its value is. Without `all`, images without
        a name of which there are other images are left out.

        Source: `GET /libpod/images/json`.
        """
        query = {
            "all": all,
            "filters": encode_filters(
                {
                    "reference": [reference] if reference else [],
                    # An old podman finds nothing for two (`quirks.IMAGE_LABELS_EXCLUDE`).
                    "label": label_filters(labels)[:1],
                }
            ),
        }
        found = await self._libpod.get("images/json", list[ImageSummary], query)
        return [image for image in found if carries(image.labels, labels)]

    async def import_(
        self,
        chunks: AsyncIterable[bytes],
        *,
        reference: str,
        architecture: str = "",
        variant: str = "",
        os: str = "linux",
        changes: Sequence[str] = (),
    ) -> str:
        """Make an image of a root file system, a tar archive; return its ID.

        `architecture` is OCI's name (`arm64`), that of the service's host when empty. `changes` are
        Containerfile instructions, such as `LABEL a=b`. Takes as long as podman needs to store it.
        When cancelled before the archive is sent, there is no image.

        Raises:
            InvalidReference: `reference` is none. (Podman would import, and then not name it.)

        Source: `POST /libpod/images/import`.
        """
        parse_reference(reference)
        query = {
            "reference": reference,
            "OS": os,
            "Architecture": architecture or None,
            "Variant": variant or None,
            "changes": changes,
        }
        answer = await self._libpod.post("images/import", query, content=chunks, patience=None)
        return decode_document(answer.body, Created).id.removeprefix("sha256:")

    async def pull(
        self,
        reference: str,
        *,
        os: str = "",
        architecture: str = "",
        variant: str = "",
        policy: PullPolicy = "missing",
        login: RegistryLogin | None = None,
        tls_verify: bool | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> str:
        """Fetch an image from its registry; return its ID.

        With the policy `missing`, an image of that name that is here already is taken, whatever its
        architecture: look at `inspect`. Without a `login` the service's own auth file counts.
        `tls_verify` false accepts any certificate, and HTTP; without it the service's configuration
        says. `on_progress` is called with podman's lines of text. Takes as long as the registry
        does; when cancelled, podman gives up and no image is there.

        Raises:
            ServerError: the image could not be fetched; podman says so after `200 OK`.

        Source: `POST /libpod/images/pull`.
        """
        query = {
            "reference": reference,
            "OS": os or None,
            "Arch": architecture or None,
            "Variant": variant or None,
            "policy": policy,
            "tlsVerify": tls_verify,
        }
        path, failure = "images/pull", f"{reference} could not be pulled"
        end = await transfer(
            self._libpod, path, query, login=login, on_progress=on_progress, failure=failure
        )
        if not end.id:
            raise failed(path, failure, "podman named no image at the end of the pull")
        return end.id

    async def push(
        self,
        reference: str,
        destination: str,
        *,
        login: RegistryLogin | None = None,
        tls_verify: bool | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> str:
        """Send an image to the registry that `destination` names.

        Returns the digest that it has there, `sha256:…`, empty on a podman that does not tell
        (before 5). The arguments are those of `pull`. When cancelled, the name in the registry
        stands for what it stood for before.

        Raises:
            APIError: the image could not be sent, or there is none of that name.
            InvalidReference: `destination` is none.

        Source: `POST /libpod/images/{name}/push`.
        """
        parse_reference(destination)
        query = {"destination": destination, "tlsVerify": tls_verify, "quiet": False}
        end = await transfer(
            self._libpod,
            f"images/{segments(reference)}/push",
            query,
            login=login,
            on_progress=on_progress,
            failure=f"{reference} could not be pushed to {destination}",
        )
        return end.digest

    async def tag(self, reference: str, repository: str, tag: str) -> None:
        """Give an image one more name.

        Source: `POST /libpod/images/{name}/tag`.
        """
        await self._name(reference, "tag", repository, tag)

    async def untag(self, reference: str, repository: str, tag: str) -> None:
        """Take a name from an image; the image stays, even without a name.

        Source: `POST /libpod/images/{name}/untag`.
        """
        await self._name(reference, "untag", repository, tag)

    async def remove(
        self, reference: str, *, force: bool = False, missing_ok: bool = False
    ) -> None:
        """Take a name from an image, and remove the image when it was the last; an ID removes it.

        By the name of a manifest list it would be the list's image for the service's own platform:
        `manifests.remove` removes the list.

        `force` removes the containers made from it as well.

        Raises:
            Conflict: a container uses it, and `force` is false.
            NotFound: there is no such image, and `missing_ok` is false.

        Source: `DELETE /libpod/images/{name}`.
        """
        try:
            await self._libpod.delete(
                f"images/{segments(reference)}", {"force": force}, patience=None
            )
        except NotFound:
            if not missing_ok:
                raise

    async def _name(self, reference: str, action: str, repository: str, tag: str) -> None:
        parse_reference(f"{repository}:{tag}")
        await self._libpod.post(
            f"images/{segments(reference)}/{action}", {"repo": repository, "tag": tag}
        )
