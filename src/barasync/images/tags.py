"""The names that a person gives to built images."""

from __future__ import annotations

from dataclasses import replace

from barasync.aiopodman import InvalidReference, NotFound, Podman, Reference, parse_reference
from barasync.errors import ConfigError
from barasync.images.failures import ImageGone, explained
from barasync.matrix.platforms import Platform, short_name

_LOCAL = "localhost"
_OURS = "barasync"
_LATEST = "latest"
_DIGITS = 12
_LONGEST_TAG = 128


def parse_tag(text: str, where: str) -> Reference:
    """Read `[REGISTRY/]NAME[:TAG]`, on `localhost` without a registry, `latest` without a tag.

    `where` begins the message of an error.

    Raises:
        ConfigError: it is no such name, has a digest, or is of those that barasync gives itself.
    """
    try:
        reference = parse_reference(text)
    except InvalidReference as error:
        raise ConfigError(f"{where}: {error}") from error
    if reference.digest:
        raise ConfigError(f"{where}: {text!r} has a digest, which a name to be given cannot have")
    reference = replace(
        reference, registry=reference.registry or _LOCAL, tag=reference.tag or _LATEST
    )
    if reference.registry == _LOCAL and reference.repository.split("/")[0] == _OURS:
        raise ConfigError(
            f"{where}: {text!r} is a name of barasync's own",
            hint=f"names on {_LOCAL}/{_OURS}/ are for steps and caches; choose another one",
        )
    return reference


def default_tag(name: str, tree: str | None) -> Reference:
    """Return the name of the declared image `name` where nobody gave one.

    `tree` is the key of the project's files where the image has them: such an image is another one
    for every state of the project, and has a name for each, `project:<key>` if it is declared as
    `project`.
    """
    return Reference(_LOCAL, name, _LATEST if tree is None else tree[:_DIGITS])


def tag_of(name: Reference, platform: Platform) -> Reference:
    """Return the name of the image for one platform beside the name of all: `tool:1-arm64`.

    Raises:
        ConfigError: it would be too long.
    """
    tag = f"{name.tag}-{short_name(platform)}"
    if len(tag) > _LONGEST_TAG:
        raise ConfigError(f"the tag {tag!r} is longer than {_LONGEST_TAG} characters")
    return replace(name, tag=tag)


async def give(podman: Podman, name: Reference, image: str) -> None:
    """Give a full name to an image, by its ID; nothing happens where it has that name.

    Whatever had the name loses it. A manifest list that has no other is removed; an image stays.

    Raises:
        ImageGone: there is no such image any more.
        ImageError: podman refuses.
        EngineUnavailable: podman does not answer.
    """
    full = str(name)
    where = f"naming image {image[:12]} {full}"
    with explained(where):
        if await _stands_for(podman, full, image):
            return
        listed = await podman.images.list()
        old = next((each for each in listed if full in each.repo_tags), None)
        try:
            await podman.images.tag(image, name.name, name.tag)
        except NotFound as error:
            raise ImageGone(where, image) from error
        if old is not None and old.repo_tags == [full]:
            await podman.manifests.remove(old.id, missing_ok=True)  # an image is none


async def _stands_for(podman: Podman, name: str, image: str) -> bool:
    """Tell whether a name is the image's, and not that of a list with it."""
    try:
        return (await podman.images.inspect(name)).id == image and not (
            await podman.manifests.exists(name)
        )
    except NotFound:
        return False
