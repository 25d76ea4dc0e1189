"""What podman's refusals mean to somebody who needs an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from barasync.aiopodman import APIError, PodmanError
from barasync.errors import EngineUnavailable, ImageError


class WrongPlatform(ImageError):
    """The image exists, but it is for another platform than the cell's."""


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Translate podman's errors: `action` says what could not be done, `pulling x`.

    Raises:
        ImageError: Podman refused, in its own words.
        EngineUnavailable: It did not answer.
    """
    try:
        yield
    except APIError as error:
        raise ImageError(f"{action}: {error.cause or error.message}") from error
    except PodmanError as error:
        raise EngineUnavailable(f"{action}: {error}") from error
