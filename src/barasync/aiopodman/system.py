"""The service itself: is it there, what is it, where does it run."""

from __future__ import annotations

from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.models import Info, Version


class System:
    """One podman service."""

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod

    async def ping(self) -> None:
        """Return when the service answers.

        Raises:
            TransportError: it does not.

        Source: `GET /libpod/_ping`.
        """
        await self._libpod.transport.request("GET", "/libpod/_ping")

    async def version(self) -> Version:
        """Return the versions of podman and of the programs it calls.

        Source: `GET /libpod/version`.
        """
        return await self._libpod.get("version", Version)

    async def info(self) -> Info:
        """Return what podman knows of its host and its storage.

        Source: `GET /libpod/info`.
        """
        return await self._libpod.get("info", Info)
