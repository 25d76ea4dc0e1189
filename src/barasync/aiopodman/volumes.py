"""Named volumes: list, make, inspect and remove them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from barasync.aiopodman.errors import NotFound, ServerError
from barasync.aiopodman.libpod import (
    InvalidName,
    Libpod,
    carries,
    encode_filters,
    label_filters,
    segment,
)
from barasync.aiopodman.models import Removed, VolumeSummary
from barasync.aiopodman.quirks import VOLUME_LABELS_ARE_ANY
from barasync.aiopodman.wire.documents import decode_document


class Volumes:
    """The volumes of one podman service, the anonymous ones of containers among them."""

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod

    async def exists(self, name: str) -> bool:
        """Tell whether there is a volume of that name.

        Source: `GET /libpod/volumes/{name}/json`.
        """
        try:
            await self._libpod.get(f"volumes/{segment(name)}/json", VolumeSummary)
        except (NotFound, InvalidName):
            return False
        return True

    async def list(self, *, labels: Mapping[str, str | None] | None = None) -> list[VolumeSummary]:
        """Return the volumes that carry every one of `labels`, all of them by default.

        A label whose value is `None` matches whatever its value is.

        Source: `GET /libpod/volumes/json`.
        """
        query = {"filters": encode_filters({"label": label_filters(labels)})}
        found = await self._libpod.get("volumes/json", list[VolumeSummary], query)
        # An old podman lists what has any of the labels (`quirks.VOLUME_LABELS_ARE_ANY`).
        return [volume for volume in found if carries(volume.labels, labels)]

    async def create(
        self,
        name: str,
        *,
        labels: Mapping[str, str] = MappingProxyType({}),
        driver: str | None = None,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> VolumeSummary:
        """Make an empty volume.

        `options` are the driver's, podman's own by default, of which `type`, `device` and `o` are
        those of mount(8): what is mounted while a container with the volume runs. A `size` in `o`
        it takes for a quota, of a tmpfs as well, and refuses where it can set none (measured).

        When cancelled in flight, podman may have made it all the same: shield the call, or find it
        by its labels.

        Raises:
            Conflict: the name is in use.

        Source: `POST /libpod/volumes/create`.
        """
        body: dict[str, object] = {"Name": name, "Label": dict(labels)}
        if driver is not None:
            body["Driver"] = driver
        if options:
            body["Options"] = dict(options)
        answer = await self._libpod.post("volumes/create", body=body)
        return decode_document(answer.body, VolumeSummary)

    async def inspect(self, name: str) -> VolumeSummary:
        """Return what podman knows of a volume.

        Raises:
            NotFound: it does not exist.

        Source: `GET /libpod/volumes/{name}/json`.
        """
        return await self._libpod.get(f"volumes/{segment(name)}/json", VolumeSummary)

    async def prune(self, *, labels: Mapping[str, str | None]) -> frozenset[str]:
        """Remove the volumes with every one of `labels` that no container uses, and their files.

        Returns their names. A label whose value is `None` matches whatever its value is. There is
        no way to prune all: other users of the service have volumes as well. Lasts as long as
        podman needs for the files: put a deadline around it.

        Raises:
            ServerError: some of them are still there; the others are gone.
            ValueError: there is no label, or more than one for an old podman, which would remove
                what has any of them (`quirks.VOLUME_LABELS_ARE_ANY`).

        Source: `POST /libpod/volumes/prune`.
        """
        if not labels:
            raise ValueError("volumes are pruned by a label at least")
        if len(labels) > 1 and self._libpod.has(VOLUME_LABELS_ARE_ANY):
            raise ValueError(
                f"podman {self._libpod.version} prunes the volumes that carry any of "
                "several labels: give one"
            )
        path = "volumes/prune"
        filters = encode_filters({"label": label_filters(labels)})
        answer = await self._libpod.post(path, {"filters": filters}, patience=None)
        reports = decode_document(answer.body, list[Removed])
        stay = [f"{each.id} ({each.reason})" for each in reports if each.error is not None]
        if stay:
            raise ServerError(
                status=answer.status,
                cause=", ".join(stay),
                message=f"volumes were not removed: {', '.join(stay)}",
                method="POST",
                path=f"/libpod/{path}",
            )
        return frozenset(each.id for each in reports)

    async def remove(self, name: str, *, missing_ok: bool = False) -> None:
        """Remove a volume and what is in it.

        Lasts as long as podman needs for the files: put a deadline around it.

        Raises:
            Conflict: a container uses it.
            NotFound: it does not exist, and `missing_ok` is false.

        Source: `DELETE /libpod/volumes/{name}`.
        """
        try:
            await self._libpod.delete(f"volumes/{segment(name)}", patience=None)
        except NotFound:
            if not missing_ok:
                raise
