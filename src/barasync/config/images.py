"""What `[images.NAME]` may say, beyond the types of its keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

from msgspec import UNSET, UnsetType

from barasync.config.bounds import BadValue, check_timeout
from barasync.config.copies import Copy
from barasync.config.cycles import check_cycles
from barasync.config.image_steps import Entry, Package, image_steps
from barasync.config.image_values import (
    EntryPlace,
    check_env,
    check_labels,
    check_packages,
    check_printable,
    check_run,
    check_user,
    check_workdir,
    project_copies,
    project_path,
)
from barasync.config.origin import Origin, Place
from barasync.config.schema import BootstrapVariant, ImageTable
from barasync.config.spelling import closest
from barasync.config.values import check_image_name
from barasync.errors import ConfigError

_CHECKED = ("containerfile", "context")
_PATHS = (*_CHECKED, "copy", "steps")
_BASES = ("from", "bootstrap", "containerfile")
_UNORDERED = ("run", "copy", "project", "env", "workdir", "packages", "user")
"""Keys that say nothing of the order in which `steps` would be done with them."""
_SIMILAR = 0.8
"""A base is more often a reference of its own than it is misspelt."""


def check_images(images: Mapping[str, ImageTable], origin: Origin) -> None:
    """Raise for the first declared image that cannot be meant.

    What lies in the file system is not looked at, and the packages of a bootstrap are for it to
    judge.

    Raises:
        ConfigError: the message begins with the file and the key.
    """
    for name, table in images.items():
        check_image_name(name, origin.key("images", name))
        _check_base(name, table, images, origin)
        outside = {key for key in _PATHS if origin.defines("images", name, key)}
        _check_values(table, partial(origin.key, "images", name), outside)
    check_cycles(images, origin)
    for name, table in images.items():
        _check_packages(name, table, images, origin)


def image_copies(
    table: ImageTable, place: EntryPlace = "copy[{}]".format, *, outside: bool = True
) -> tuple[Copy, ...]:
    """Return what `copy` says: see `project_copies`."""
    return project_copies(table.copy, place, context=_context(table), outside=outside)


def written_steps(
    table: ImageTable, place: EntryPlace = "steps[{}]".format, *, outside: bool = True
) -> tuple[Entry, ...]:
    """Return what `steps` says: see `image_steps`."""
    return image_steps(table.steps, place, context=_context(table), outside=outside)


def ancestry(name: str, images: Mapping[str, ImageTable]) -> Iterator[str]:
    """Yield an image's name, then what it begins with, and so on to a reference or an end.

    `images` have been checked.
    """
    below: str | UnsetType = name
    while isinstance(below, str):
        yield below
        below = images[below].from_ if below in images else UNSET


def chain(name: str, images: Mapping[str, ImageTable]) -> tuple[str, ...]:
    """Return the declared images of an `ancestry`, the one that the others begin with first."""
    return tuple(reversed([each for each in ancestry(name, images) if each in images]))


def _check_base(
    name: str, table: ImageTable, images: Mapping[str, ImageTable], origin: Origin
) -> None:
    place = partial(origin.key, "images", name)
    bases = dict(zip(_BASES, (table.from_, table.bootstrap, table.containerfile), strict=True))
    given = [f"`{key}`" for key, value in bases.items() if value is not UNSET]
    if not given:
        raise ConfigError(
            f"{place()}: the image has nothing to begin with",
            hint="give `from` (a reference or a declared image), `bootstrap` or `containerfile`",
        )
    if len(given) > 1:
        raise ConfigError(
            f"{place()}: {' and '.join(given)} are given, and an image begins with one of them"
        )
    if _context(table) and not (table.copy or table.steps):
        raise ConfigError(
            f"{place('context')}: there is no `containerfile` that would see it, and no `copy` "
            "or `steps` whose files would be there"
        )
    if not isinstance(table.from_, UnsetType) and table.from_ not in images:
        known = [each for each in images if each not in origin.called]
        _check_reference(table.from_, known, place("from"))


def _check_reference(text: str, known: Collection[str], where: str) -> None:
    """Refuse what is no reference; `known` are the declared images that may have been meant."""
    if text == "scratch":
        raise ConfigError(
            f"{where}: there is no image 'scratch' to lay steps on",
            hint="write a Containerfile that begins with it, and give it as `containerfile`",
        )
    bare = not any(mark in text for mark in "/:@")
    meant = closest(text, known, similarity=_SIMILAR) if bare else None
    if meant is not None:
        raise ConfigError(
            f"{where}: there is no image '{text}'; did you mean '{meant}'?",
            hint=f"a reference that is meant has a tag or a registry: '{text}:latest'",
        )
    if not _is_reference(text):
        raise ConfigError(
            f"{where}: {text!r} is neither a declared image nor a reference",
            hint=f"declared: {', '.join(known)}" if known else None,
        )


def _is_reference(text: str) -> bool:
    from barasync.aiopodman import InvalidReference, is_image_id, parse_reference  # noqa: PLC0415 - keeps `--help` quick

    try:
        return is_image_id(text) or bool(parse_reference(text))
    except InvalidReference:
        return False


def _check_packages(
    name: str, table: ImageTable, images: Mapping[str, ImageTable], origin: Origin
) -> None:
    """Refuse packages in an image without a package manager's database."""
    asked = {"packages": table.packages, "dev": table.dev, "toolchain": table.toolchain}
    keys: list[tuple[str | int, ...]]
    keys = [(key,) for key, value in asked.items() if value and value is not UNSET]
    entries = enumerate(written_steps(table))
    keys += [("steps", index) for index, entry in entries if isinstance(entry, Package)]
    first = chain(name, images)[0]
    bootstrap = images[first].bootstrap
    if not keys or isinstance(bootstrap, UnsetType):
        return
    if bootstrap.variant is BootstrapVariant.EXTRACT:
        raise ConfigError(
            f"{origin.key('images', name, *keys[0])}: the packages of '{first}', which the image "
            "begins with, are only unpacked, so no others can be installed",
            hint=f"write `variant = \"apt\"` in the bootstrap of '{first}', or name them there",
        )


def _check_values(table: ImageTable, place: Place, outside: Collection[str]) -> None:
    for key, check in _CHECKS.items():
        value = getattr(table, key)
        if value is UNSET:
            continue
        try:
            check(value)
            if key in _CHECKED:
                project_path(value, outside=key in outside)
        except BadValue as error:
            raise ConfigError(f"{place(key, *error.keys)}: {error}", hint=error.hint) from None
    image_copies(table, partial(place, "copy"), outside="copy" in outside)
    written_steps(table, partial(place, "steps"), outside="steps" in outside)
    beside = [key for key in _UNORDERED if (value := getattr(table, key)) and value is not UNSET]
    if table.steps and beside:
        given = " and ".join(f"`{key}`" for key in beside)
        raise ConfigError(
            f"{place('steps')}: it says an order, in which {given} would have no place",
            hint="write it among the steps; beside them there are `toolchain` and `dev`, which "
            "come first, and `labels`",
        )


def _context(table: ImageTable) -> str:
    """Return the directory in which what is copied is looked for, empty for the project's."""
    return "" if table.containerfile is not UNSET or table.context is UNSET else table.context


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "containerfile": check_printable,
    "context": check_printable,
    "env": check_env,
    "workdir": check_workdir,
    "packages": check_packages,
    "run": check_run,
    "user": check_user,
    "labels": check_labels,
    "timeout": check_timeout,
}
