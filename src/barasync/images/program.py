"""Images of one tiny program and nothing else, which a service keeps for the next time."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256

from barasync.aiopodman import NotFound, Podman
from barasync.images.ours import KEY_LABEL, KIND_LABEL, PREFIX
from barasync.matrix.platforms import Platform, short_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A static executable for a platform; `kind` is what it is for, a word."""

    kind: str
    platform: Platform
    content: bytes

    @property
    def path(self) -> str:
        """Where it is in its image."""
        return f"/{self.kind}"


async def program_image(podman: Podman, program: Program) -> str:
    """Return the ID of an image of a program, made if it is not there.

    It stays, some hundred bytes, as `localhost/barasync/<kind>:<arch>`. Where two make it at once
    one of the images loses that name, and works as well.

    Raises:
        PodmanError: the service cannot be reached, or cannot make images.
    """
    key = sha256(program.content).hexdigest()
    platform = program.platform
    reference = f"{PREFIX}{program.kind}:{short_name(platform)}"
    try:
        found = await podman.images.inspect(reference)
    except NotFound:
        pass
    else:
        if found.labels.get(KEY_LABEL) == key:
            return found.id
    return await podman.images.import_(
        _root(program),
        reference=reference,
        architecture=platform.architecture,
        variant=platform.variant,
        os=platform.os,
        changes=(f"LABEL {KIND_LABEL}={program.kind}", f"LABEL {KEY_LABEL}={key}"),
    )


async def _root(program: Program) -> AsyncIterator[bytes]:
    """Give a root file system of one file, as a tar archive."""
    member = tarfile.TarInfo(program.path.lstrip("/"))
    member.size, member.mode = len(program.content), 0o755
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(program.content))
    yield buffer.getvalue()
