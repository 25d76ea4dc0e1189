"""Networks: list, make and remove them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from barasync.aiopodman.errors import NotFound
from barasync.aiopodman.libpod import Libpod, encode_filters, label_filters, segment
from barasync.aiopodman.models import NetworkSummary
from barasync.aiopodman.wire.documents import decode_document


class Networks:
    """The networks of one podman service."""

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod

    async def list(self, *, labels: Mapping[str, str | None] | None = None) -> list[NetworkSummary]:
        """Return the networks that carry every one of `labels`, all of them by default.

        A label whose value is `None` matches whatever its value is.

        Source: `GET /libpod/networks/json`.
        """
        query = {"filters": encode_filters({"label": label_filters(labels)})}
        return await self._libpod.get("networks/json", list[NetworkSummary], query)

    async def create(
        self,
        name: str,
        *,
        labels: Mapping[str, str] = MappingProxyType({}),
        internal: bool = False,
    ) -> NetworkSummary:
        """Make a bridge network; an `internal` one leads nowhere but to its containers.

        When cancelled in flight, podman may have made it all the same: shield the call, or find it
        by its labels.

        Raises:
            Conflict: The name is in use.

        Source: `POST /libpod/networks/create`.
        """
        body = {"name": name, "labels": dict(labels), "internal": internal}
        answer = await self._libpod.post("networks/create", body=body)
        return decode_document(answer.body, NetworkSummary)

    async def remove(self, name: str, *, missing_ok: bool = False) -> None:
        """Remove a network, by name or ID.

        Raises:
            Conflict: A container uses it.
            NotFound: It does not exist, and `missing_ok` is false.

        Source: `DELETE /libpod/networks/{name}`.
        """
        try:
            await self._libpod.delete(f"networks/{segment(name)}")
        except NotFound:
            if not missing_ok:
                raise
