"""What a name stands for in its registry, found out through podman, which has no request for that.

A manifest list to which podman adds an image of a registry holds its digest: podman reads the
manifest there and computes it. Neither the image nor its names are touched by that. Measured on
4.3.1 and 5.4.2.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import anyio

from barasync.aiopodman import (
    ManifestEntry,
    Podman,
    PodmanError,
    RegistryLogin,
    answered,
)

_DRAFTS = "localhost/barasync/list"
_CREATE_SECONDS = 120.0
_CLEAR_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Standing:
    """The images that a name stands for, one of each platform where it is a manifest list."""

    entries: tuple[ManifestEntry, ...]

    @property
    def digests(self) -> frozenset[str]:
        """The digests of the images."""
        return frozenset(entry.digest for entry in self.entries)


async def standing(
    podman: Podman,
    reference: str,
    *,
    login: RegistryLogin | None,
    tls_verify: bool | None,
) -> Standing | None:
    """Return what a name stands for in its registry now; `None` where podman cannot tell.

    A registry that does not answer is waited for without end. When cancelled, the manifest list
    that it takes (`localhost/barasync/list:…`) is gone.
    """
    draft = f"{_DRAFTS}:{secrets.token_hex(8)}"
    try:
        try:
            await answered(
                lambda: podman.manifests.create(draft),
                within=_CREATE_SECONDS,
                cancelled=_CLEAR_SECONDS,
            )
            await podman.manifests.add_from_registry(
                draft, reference, login=login, tls_verify=tls_verify
            )
            return Standing(tuple(await podman.manifests.entries(draft)))
        finally:
            with anyio.move_on_after(_CLEAR_SECONDS, shield=True):
                await podman.manifests.remove(draft, missing_ok=True)
    except (PodmanError, TimeoutError):
        return None
