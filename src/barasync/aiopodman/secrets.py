"""Secrets: list, make and remove them. What they hold is never read back."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from barasync.aiopodman.errors import NotFound
from barasync.aiopodman.libpod import InvalidName, Libpod, carries, segment
from barasync.aiopodman.models import CreatedSecret, SecretSummary
from barasync.aiopodman.quirks import SECRET_LABELS_UNLISTED
from barasync.aiopodman.wire.documents import decode_document

MOST_BYTES = 511_999
"""The most that a secret can hold. Source: `secret data must be … less than 512000 bytes`."""


class Secrets:
    """The secrets of one podman service."""

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod

    async def exists(self, name: str) -> bool:
        """Tell whether there is a secret of that name or ID.

        Source: `GET /libpod/secrets/{name}/json`.
        """
        try:
            await self.inspect(name)
        except (NotFound, InvalidName):
            return False
        return True

    async def list(self, *, labels: Mapping[str, str | None] | None = None) -> list[SecretSummary]:
        """Return the secrets that carry every one of `labels`, all of them by default.

        A label whose value is `None` matches whatever its value is. Podman has no filter for that.

        Source: `GET /libpod/secrets/json`.
        """
        found = await self._libpod.get("secrets/json", list[SecretSummary])
        if labels and self._libpod.has(SECRET_LABELS_UNLISTED):
            found = [secret for each in found if (secret := await self._inspect(each)) is not None]
        return [secret for secret in found if carries(secret.spec.labels, labels)]

    async def create(
        self, name: str, data: bytes, *, labels: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """Store 1 to `MOST_BYTES` bytes under a name, and return their ID.

        A name has 64 letters, digits and `-_.` at most, the first a letter or a digit: newer
        podmans allow more (`quirks.SECRET_NAMES_ARE_SHORT`). Podman keeps the bytes as they are, in
        a file that only the service's user can read.

        When cancelled in flight, podman may have stored them all the same: shield the call, or find
        the secret by its name.

        Raises:
            Conflict: the name is in use.

        Source: `POST /libpod/secrets/create`; labels since 4.3.0.
        """
        query = {"name": name, "labels": msgspec.json.encode(dict(labels)).decode()}
        answer = await self._libpod.post("secrets/create", query, content=data)
        return decode_document(answer.body, CreatedSecret).id

    async def inspect(self, name: str) -> SecretSummary:
        """Return what a secret was made with, by name or ID, without its bytes.

        Raises:
            NotFound: it does not exist.

        Source: `GET /libpod/secrets/{name}/json`.
        """
        return await self._libpod.get(f"secrets/{segment(name)}/json", SecretSummary)

    async def remove(self, name: str, *, missing_ok: bool = False) -> None:
        """Remove a secret, by name or ID.

        Containers that run keep what they got; those that have not started yet fail.

        Raises:
            NotFound: it does not exist, and `missing_ok` is false.

        Source: `DELETE /libpod/secrets/{name}`.
        """
        try:
            await self._libpod.delete(f"secrets/{segment(name)}")
        except NotFound:
            if not missing_ok:
                raise

    async def _inspect(self, secret: SecretSummary) -> SecretSummary | None:
        """Return a secret with its labels, `None` if it has gone meanwhile."""
        try:
            return await self.inspect(secret.id)
        except NotFound:
            return None
