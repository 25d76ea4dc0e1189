"""What podman's refusals mean to somebody who needs an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from barasync.aiopodman import APIError, PodmanError
from barasync.errors import EngineUnavailable, ImageError


class WrongPlatform(ImageError):
    """The image exists, but it is for another platform than the cell's."""


class ImageGone(ImageError):
    """The image was found, and is not there any more: something has removed it since."""

    def __init__(self, where: str, image: str) -> None:
        super().__init__(
            f"{where}: image {image[:12]} is not there any more",
            hint="something else removes images again and again; build when that is done",
        )


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Translate podman's errors: `action` says what could not be done, `pulling x`.

    Raises:
        ImageError: podman refused, in its own words.
        EngineUnavailable: it did not answer.
    """
    try:
        yield
    except APIError as error:
        raise ImageError(f"{action}: {error.cause or error.message}") from error
    except PodmanError as error:
        raise EngineUnavailable(f"{action}: {error}") from error
