"""Which podman answers, and which version of its API this client speaks to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from barasync.aiopodman.errors import ProtocolError

Release = tuple[int, int, int]

OLDEST_SERVER: Release = (4, 0, 0)
NEWEST_KNOWN: Release = (5, 8, 0)
"""The newest API this client was written against; a newer server is spoken to as this one."""

_RELEASE = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+~].*)?")


@dataclass(frozen=True, slots=True)
class PodmanVersion:
    """The server's release, `(4, 3, 1)`, and the API version in the paths of requests, `v4.3.1`.

    `str()` gives the release as people write it.
    """

    release: Release
    api: str

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.release)


def negotiate(header: str) -> PodmanVersion:
    """Choose the API version for a server from its header `Libpod-API-Version`.

    Raises:
        ProtocolError: the header is not a version, or older than `OLDEST_SERVER`.
    """
    match = _RELEASE.fullmatch(header.strip())
    if match is None:
        raise ProtocolError(f"podman calls its API version {header!r}, which is not a version")
    major, minor, patch = (int(part or 0) for part in match.groups())
    release = (major, minor, patch)
    if release < OLDEST_SERVER:
        raise ProtocolError(
            f"podman {header} is too old: version {_dotted(OLDEST_SERVER)} or newer is needed"
        )
    return PodmanVersion(release, f"v{_dotted(min(release, NEWEST_KNOWN))}")


def _dotted(release: Release) -> str:
    return ".".join(str(part) for part in release)
