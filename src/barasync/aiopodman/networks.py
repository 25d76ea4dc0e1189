"""Networks."""

from __future__ import annotations

from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.models import NetworkSummary


class Networks:
    """The networks of one podman service."""

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod

    async def list(self) -> list[NetworkSummary]:
        """Return every network.

        Source: `GET /libpod/networks/json`.
        """
        return await self._libpod.get("networks/json", list[NetworkSummary])
