"""Which images of a service barasync made, told by their labels and names.

What somebody makes of one of them inherits its labels, so labels alone prove nothing: an image is
ours by a name below `localhost/barasync/`, or, where it lost its name to a later one, by being
just what its labels say.
"""

from __future__ import annotations

import re

from barasync.aiopodman import ImageSummary

PREFIX = "localhost/barasync/"
KIND_LABEL = "barasync.kind"
KEY_LABEL = "barasync.key"
BASE_LABEL = "barasync.base"
"""The ID of the image that a layer or a step was made on."""

WORKSPACE = "workspace"
BOOTSTRAP = "bootstrap"
PULLED = "pulled"
CONTAINERFILE = "containerfile"
KEPT = "kept"
"""What is left of a failed cell; `images.kept`."""

_IMAGE = "image"
# Names below `PREFIX` that say what an image is, and not which declared image it is.
_RESERVED = frozenset({WORKSPACE, PULLED, KEPT, "step"})
_CONTENT_TAG = re.compile(r"localhost/(?P<name>.+):[0-9a-f]{12}")


def kind_of(image: ImageSummary) -> str:
    """Return what kind of an image of barasync's it is, as its label says; empty for any other.

    An image that was pulled has the labels of whoever made it: its kind is `PULLED`.
    """
    names = own_names(image)
    if any(name.startswith(f"{PREFIX}{PULLED}:") for name in names):
        return PULLED
    kind = image.labels.get(KIND_LABEL, "")
    if names:
        return kind or _IMAGE
    if image.repo_tags or not kind:
        return ""
    base = image.labels.get(BASE_LABEL, "")
    if image.parent_id != base or (not base and kind != BOOTSTRAP):
        return ""  # somebody made it of one of ours
    return kind


def own_names(image: ImageSummary) -> tuple[str, ...]:
    """Return the names of an image that barasync knows it by."""
    return tuple(name for name in image.repo_tags if name.startswith(PREFIX))


def declared_names(image: ImageSummary) -> frozenset[str]:
    """Return the declared images that an image is: `base` for `localhost/barasync/base:…`."""
    names = (name.removeprefix(PREFIX).rpartition(":")[0] for name in own_names(image))
    return frozenset(names) - _RESERVED


def foreign_names(image: ImageSummary) -> tuple[str, ...]:
    """Return the names by which somebody else may know an image of ours.

    A tag that stands for the content alone, `localhost/NAME:<12 digits>` of the declared image
    NAME, is not among them: `image build` gives it, and another one for every other content.
    """
    declared = declared_names(image)
    return tuple(
        name
        for name in image.repo_tags
        if not name.startswith(PREFIX) and content_of(name) not in declared
    )


def content_of(name: str) -> str:
    """Return the declared image whose content a tag stands for, empty where it is no such tag."""
    found = _CONTENT_TAG.fullmatch(name)
    return "" if found is None else found["name"]
