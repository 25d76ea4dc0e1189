"""Manifest lists that are being put together, under a name of their own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from barasync.aiopodman import Podman, answered

_DRAFTS = "localhost/barasync/list"
# Longer than the client waits for it.
_CREATE_SECONDS = 120.0
_CLEAR_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Draft:
    """A manifest list: its name, and its ID."""

    name: str
    id: str


@asynccontextmanager
async def drafted(podman: Podman) -> AsyncIterator[Draft]:
    """Yield an empty manifest list; afterwards it has lost its name, and is gone without another.

    That holds also when cancelled, for which podman has 20 s.

    Raises:
        PodmanError: podman refuses, or does not answer.
        TimeoutError: podman has not answered for 2 minutes.
    """
    name = f"{_DRAFTS}:{secrets.token_hex(8)}"
    try:
        made = await answered(
            lambda: podman.manifests.create(name),
            within=_CREATE_SECONDS,
            cancelled=_CLEAR_SECONDS,
        )
        yield Draft(name, made)
    finally:
        with anyio.move_on_after(_CLEAR_SECONDS, shield=True):
            await podman.manifests.remove(name, missing_ok=True)
