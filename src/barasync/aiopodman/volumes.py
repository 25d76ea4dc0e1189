"""Named volumes: list, make, inspect and remove them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from barasync.aiopodman.errors import NotFound
from barasync.aiopodman.libpod import (
    InvalidName,
    Libpod,
    carries,
    encode_filters,
    label_filters,
    segment,
)
from barasync.aiopodman.models import Removed, VolumeSummary
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
        self, name: str, *, labels: Mapping[str, str] = MappingProxyType({})
    ) -> VolumeSummary:
        """Make an empty volume.

        When cancelled in flight, podman may have made it all the same: shield the call, or find it
        by its labels.

        Raises:
            Conflict: the name is in use.

        Source: `POST /libpod/volumes/create`.
        """
        answer = await self._libpod.post(
            "volumes/create", body={"Name": name, "Label": dict(labels)}
        )
        return decode_document(answer.body, VolumeSummary)

    async def inspect(self, name: str) -> VolumeSummary:
        """Return what podman knows of a volume.

        Raises:
            NotFound: it does not exist.

        Source: `GET /libpod/volumes/{name}/json`.
        """
        return await self._libpod.get(f"volumes/{segment(name)}/json", VolumeSummary)

    async def prune(self, label: str, value: str) -> frozenset[str]:
        """Remove the volumes with a label that no container uses, and what is in them.

        Returns their names. There is no way to prune all: other users of the service have volumes
        as well. Of several labels an old podman heeds any (`quirks.VOLUME_LABELS_ARE_ANY`), so that
        it is asked for one.

        Source: `POST /libpod/volumes/prune`.
        """
        filters = encode_filters({"label": [f"{label}={value}"]})
        answer = await self._libpod.post("volumes/prune", {"filters": filters}, patience=None)
        removed = decode_document(answer.body, list[Removed])
        return frozenset(volume.id for volume in removed if volume.error is None)

    async def remove(self, name: str, *, missing_ok: bool = False) -> None:
        """Remove a volume and what is in it.

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
