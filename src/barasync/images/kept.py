"""The images of failed cells, which `--keep-failed` keeps so that somebody can look into them."""

from __future__ import annotations

import hashlib

from barasync.aiopodman import NotFound, Podman, Reference
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


async def require_kept(podman: Podman, image: str, what: str) -> None:
    """Look whether a kept image is on the service; `what` begins the sentence of the error.

    Raises:
        ConfigError: it is not.
        ImageError, EngineUnavailable: podman does not tell.
    """
    with explained(f"looking for image {image[:_DIGITS]}"):
        try:
            await podman.images.inspect(image)
        except NotFound:
            raise ConfigError(
                f"{what}: image {image[:_DIGITS]} is not on this service any more",
                hint="kept images go after 7 days and with `barasync clean --kept`; run the cell"
                " again with --keep-failed",
            ) from None
