"""Images that would be made of themselves: by names, or by a reference that a build gives.

Such an image grows with every build: what it begins with is what the build before has made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import UnsetType

from barasync.config.origin import Origin
from barasync.config.schema import ImageTable
from barasync.errors import ConfigError

if TYPE_CHECKING:
    from barasync.aiopodman import Reference

_REGISTRIES_OF_SHORT_NAMES = frozenset({"localhost", "docker.io"})
_LIBRARY = "library/"
_LATEST = "latest"


def check_cycles(images: Mapping[str, ImageTable], origin: Origin) -> None:
    """Raise for images that are made of each other; each has one parent, so walking finds them.

    Raises:
        ConfigError: the message begins with the file and the key, and names the cycle.
    """
    for name in images:
        walked: dict[str, str] = {}
        for each, parent in _lineage(name, images):
            if each in walked:
                raise _cycle(each, walked, images, origin)
            walked[each] = parent


def refuse_own_base(
    name: str,
    tags: Iterable[Reference],
    images: Mapping[str, ImageTable],
    *,
    called: Mapping[str, str],
) -> None:
    """Raise if one of `tags`, names for the image `name`, is of what that begins with.

    `images` have been checked. `called` is what people call those that have another name for them.

    Raises:
        ConfigError: the next build would begin with what this one makes.
    """
    below = [parent for _, parent in _lineage(name, images) if parent not in images]
    for tag in tags:
        for parent in below:
            if _may_be(parent, tag):
                raise ConfigError(
                    f"--tag {tag}: '{called.get(name, name)}' begins with {parent}, so that every"
                    " build would be laid on the one before",
                    hint="choose another name",
                )


def _cycle(
    first: str, walked: Mapping[str, str], images: Mapping[str, ImageTable], origin: Origin
) -> ConfigError:
    """Return the error for a cycle from `first` to the end of what was walked."""
    parents = list(walked.values())[list(walked).index(first) :]
    if all(parent in images for parent in parents):
        hint = None
        if len(parents) == 1:
            hint = f"a reference that is meant has its registry: 'docker.io/library/{first}:latest'"
    else:
        hint = (
            "it begins with what a build before has made, by the name that `image build` gives; "
            "write a declared name, or the registry of the image that is meant"
        )
    return ConfigError(
        f"{origin.key('images', first, 'from')}: a cycle, in which no image is the first: "
        f"{' → '.join((first, *parents))}",
        hint=hint,
    )


def _lineage(name: str, images: Mapping[str, ImageTable]) -> Iterator[tuple[str, str]]:
    """Yield each declared image that another begins with, and what it begins with.

    What goes by the name that a build gives to a declared image counts as that. Endless where
    there is a cycle.
    """
    each: str | None = name
    while each is not None:
        parent = images[each].from_
        if isinstance(parent, UnsetType):
            return
        yield each, parent
        each = parent if parent in images else _named(parent, images)


def _named(reference: str, images: Mapping[str, ImageTable]) -> str | None:
    """Return the declared image whose name a reference is; with the project it has no such name."""
    from barasync.aiopodman import Reference  # noqa: PLC0415 - keeps `--help` quick

    for name, table in images.items():
        # It is what `images.tags.default_tag` says.
        if not table.project and _may_be(reference, Reference("localhost", name, _LATEST)):
            return name
    return None


def _may_be(text: str, tag: Reference) -> bool:
    """Tell whether a reference may stand for what has the name `tag`.

    A short name is looked for on localhost first, then at docker.io.
    """
    from barasync.aiopodman import is_image_id, parse_reference  # noqa: PLC0415 - as above

    if is_image_id(text):
        return False
    meant = parse_reference(text)
    if meant.digest or (meant.tag or _LATEST) != tag.tag:
        return False
    if meant.registry:
        return meant.name == tag.name
    repository = tag.repository.removeprefix(_LIBRARY)
    return tag.registry in _REGISTRIES_OF_SHORT_NAMES and meant.repository in {
        repository,
        tag.repository,
    }
