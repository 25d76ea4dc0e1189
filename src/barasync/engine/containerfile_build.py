"""From a Containerfile of the project to an image, by podman's own builder."""

from __future__ import annotations

from barasync.config.schema import ImageTable
from barasync.engine.build import BuildContext, Built
from barasync.matrix.platforms import Platform


async def build_containerfile(
    context: BuildContext, name: str, table: ImageTable, platform: Platform
) -> Built:
    """Return the image that the Containerfile of the declared image `name` makes for `platform`.

    One that was made of the same files is found and used again, unless `context.cache` is false.

    Raises:
        ConfigError: the Containerfile or its context is not there, or cannot be read.
        ImageError: a step of it fails, or podman refuses one.
        EngineUnavailable: podman does not answer.
    """
    raise NotImplementedError
