"""The images of failed cells, which `--keep-failed` keeps so that somebody can look into them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from barasync.aiopodman import Podman, Reference
from barasync.errors import ConfigError
from barasync.images.failures import explained
from barasync.images.ours import KEPT

_LONGEST_TAG = 128
_DIGITS = 12


def kept_name(run: str, cell: str) -> Reference:
    """Return the name of the image of a failed cell: `localhost/barasync/kept:RUN-CELL`.

    The ID of a cell is made of what a tag is made of. One that is too long for a tag ends with
    digits of its SHA-256 instead, so that no two cells of a run have one name.
    """
    tag = f"{run}-{cell}"
    if len(tag) > _LONGEST_TAG:
        digits = hashlib.sha256(cell.encode()).hexdigest()[:_DIGITS]
        tag = f"{tag[: _LONGEST_TAG - _DIGITS - 1]}-{digits}"
    return Reference("localhost", f"barasync/{KEPT}", tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededImage:
    """An image that a failed cell cannot be looked into without; `id` is its ID.

    `what` begins the sentence that says that it is gone. `name` is what only this image was called,
    empty where other ones may have had the name as well.
    """

    id: str
    what: str
    name: str = ""


async def require_kept(podman: Podman, needed: NeededImage) -> None:
    """Look whether an image is on the service, whatever it is called by now.

    Raises:
        ConfigError: it is not; and whether another one has taken its name.
        ImageError, EngineUnavailable: podman does not tell.
    """
    digits = needed.id[:_DIGITS]
    with explained(f"looking for image {digits}"):
        if await podman.images.exists(needed.id):
            return
        taken = needed.name and await podman.images.exists(needed.name)
    if taken:
        raise ConfigError(
            f"{needed.what}: image {digits} is gone, and a later one has taken its name"
            f" {needed.name}",
            hint=f"run the cell again; with --keep-failed each has a name of its own, and what"
            f" {needed.name} is now `barasync shell {needed.name}` opens",
        )
    limits = "kept images go after 7 days and with `barasync clean --kept`; " if needed.name else ""
    raise ConfigError(
        f"{needed.what}: image {digits} is not on this service any more",
        hint=f"{limits}run the cell again with --keep-failed, or give the --url of the service that"
        " it was on",
    )
