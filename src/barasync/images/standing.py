"""What a name stands for in its registry, found out through podman, which has no request for that.

A manifest list to which podman adds an image of a registry holds its digest: podman reads the
manifest there and computes it. Neither the image nor its names are touched by that. Measured on
4.3.1 and 5.4.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from barasync.aiopodman import ManifestEntry, Podman, PodmanError, RegistryLogin
from barasync.images.drafts import drafted


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
    try:
        async with drafted(podman) as draft:
            await podman.manifests.add_from_registry(
                draft.name, reference, login=login, tls_verify=tls_verify
            )
            return Standing(tuple(await podman.manifests.entries(draft.name)))
    except (PodmanError, TimeoutError):
        return None
