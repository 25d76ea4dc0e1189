"""What `[images.NAME]` may say, beyond the types of its keys."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

from msgspec import UNSET, UnsetType

from barasync.config.bounds import BadValue, check_timeout
from barasync.config.copies import Copy, parse_copies
from barasync.config.cycles import check_cycles
from barasync.config.origin import Origin, Place
from barasync.config.schema import BootstrapVariant, ImageTable
from barasync.config.spelling import closest
from barasync.config.values import CELL_VARIABLES, check_image_name
from barasync.errors import ConfigError

_PATHS = ("containerfile", "context", "copy")
_BASES = ("from", "bootstrap", "containerfile")
_LONGEST_VALUE = 30_000
"""In bytes: a Containerfile's reader ends the file at a line of 64 KiB (measured)."""
_LONGEST_SCRIPT = 131_000
"""In bytes: Linux takes 128 KiB for one argument, and a script may get some words before it."""
_PREFIX = "barasync."
_SIMILAR = 0.8
"""A base is more often a reference of its own than it is misspelt."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_PACKAGE = re.compile(r"[A-Za-z0-9@][^\s'\"\\$`]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_PATTERN = re.compile(r"[*?\[\\]")


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
    table: ImageTable,
    place: Callable[[int], str] = "copy[{}]".format,
    *,
    outside: bool = True,
) -> tuple[Copy, ...]:
    """Return what `copy` says; sources are relative to the project's directory, normalised.

    Those `outside` of the project are absolute; only the command line can have them. `place` says
    where an entry was written, by its index.

    Raises:
        ConfigError: an entry is not `SRC:DST`, or its source is outside of the project.
    """
    copies = []
    for index, copy in enumerate(parse_copies(table.copy, place)):
        where = place(index)
        if _PATTERN.search(copy.source):
            raise ConfigError(
                f"{where}: {copy.source!r} has one of * ? [ \\ in it, as a pattern would",
                hint="name a file, or the directory that holds all of it",
            )
        try:
            source = _path(copy.source, outside=outside)
        except BadValue as error:
            raise ConfigError(f"{where}: {error}", hint=error.hint) from None
        copies.append(Copy(source, copy.destination))
    return tuple(copies)


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
    if table.context is not UNSET and table.containerfile is UNSET:
        raise ConfigError(f"{place('context')}: there is no `containerfile` that would see it")
    if not isinstance(table.from_, UnsetType):
        _check_reference(table.from_, images, place("from"))


def _check_reference(text: str, images: Mapping[str, ImageTable], where: str) -> None:
    if text in images:
        return
    if text == "scratch":
        raise ConfigError(
            f"{where}: there is no image 'scratch' to lay steps on",
            hint="write a Containerfile that begins with it, and give it as `containerfile`",
        )
    bare = not any(mark in text for mark in "/:@")
    meant = closest(text, images, similarity=_SIMILAR) if bare else None
    if meant is not None:
        raise ConfigError(
            f"{where}: there is no image '{text}'; did you mean '{meant}'?",
            hint=f"a reference that is meant has a tag or a registry: '{text}:latest'",
        )
    if not _is_reference(text):
        raise ConfigError(
            f"{where}: {text!r} is neither a declared image nor a reference",
            hint=f"declared: {', '.join(images)}",
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
    keys = [key for key, value in asked.items() if value and value is not UNSET]
    first = chain(name, images)[0]
    bootstrap = images[first].bootstrap
    if not keys or isinstance(bootstrap, UnsetType):
        return
    if bootstrap.variant is BootstrapVariant.EXTRACT:
        raise ConfigError(
            f"{origin.key('images', name, keys[0])}: the packages of '{first}', which the image "
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
            if key in _PATHS:
                _path(value, outside=key in outside)
        except BadValue as error:
            raise ConfigError(f"{place(key, *error.keys)}: {error}", hint=error.hint) from None
    image_copies(table, partial(place, "copy"), outside="copy" in outside)


def _path(path: str, *, outside: bool) -> str:
    """Return a path in the project, or with `outside` an absolute one, normalised."""
    if not path or "\0" in path:
        raise BadValue(f"{path!r} is not a path")
    normal = posixpath.normpath(path)
    absolute = normal.startswith("/")
    if (absolute and not outside) or normal.split("/", 1)[0] == "..":
        raise BadValue(
            f"{path!r} is not in the project",
            hint="an image is made from the project's own files; a path is relative to this file",
        )
    return normal


def _env(variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        if _VARIABLE.fullmatch(name) is None:
            raise BadValue(f"{name!r} cannot name a variable of an image", name)
        if name in CELL_VARIABLES:
            raise BadValue(f"{name} is set by barasync for every cell", name)
        _refuse_itself(name, value)
        _check_text(value, name)


def _refuse_itself(name: str, value: str) -> None:
    """Refuse what is written for a value that is expanded: nobody means it as it is."""
    found = re.search(rf"\$(?:{re.escape(name)}(?![A-Za-z0-9_])|\{{{re.escape(name)}\}})", value)
    if found is not None:
        raise BadValue(
            f"no $NAME in a value is expanded, and this one has {found[0]} in it",
            name,
            hint="write the whole value; in `run`, the shell expands what it executes",
        )


def _labels(labels: Mapping[str, str]) -> None:
    for name, value in labels.items():
        if _LABEL.fullmatch(name) is None:
            raise BadValue(f"{name!r} cannot name a label", name)
        if name.startswith(_PREFIX):
            raise BadValue(f"labels that begin with {_PREFIX!r} are barasync's own", name)
        _check_text(value, name)


def _check_text(value: str, name: str) -> None:
    """Refuse what a Containerfile, and podman 5 when it commits, have no way to say."""
    if "\0" in value or "\n" in value:
        raise BadValue("the value of an image can have no newline and no NUL in it", name)
    if len(value.encode()) > _LONGEST_VALUE:
        raise BadValue(f"the value has more than {_LONGEST_VALUE} bytes", name)


def _workdir(path: str) -> None:
    if not path.startswith("/") or path != path.strip() or not path.isprintable():
        raise BadValue(f"{path!r} is not an absolute path of printable characters")


def _user(name: str) -> None:
    if _USER.fullmatch(name) is None:
        raise BadValue(f"{name!r} is not a user: NAME, UID, NAME:GROUP or UID:GID")


def _packages(names: list[str]) -> None:
    for index, name in enumerate(names):
        if _PACKAGE.fullmatch(name) is None:
            raise BadValue(f"{name!r} is not the name of a package", index)


def _run(scripts: list[str]) -> None:
    for index, script in enumerate(scripts):
        if not script.strip():
            raise BadValue("the command is empty", index)
        if script.lstrip("\n")[0] in "-+":
            raise BadValue("/bin/sh takes what begins with - or + for options", index)
        if "\0" in script:
            raise BadValue(f"{script!r} contains a NUL character", index)
        if len(script.encode()) > _LONGEST_SCRIPT:
            raise BadValue(
                f"the script has more than {_LONGEST_SCRIPT} bytes, too many for one argument",
                index,
                hint="make it a file of the project, `copy` that, and run it",
            )


def _printable(path: str) -> None:
    if not path.isprintable():
        raise BadValue(f"{path!r} has characters that are not printable")


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "containerfile": _printable,
    "context": _printable,
    "env": _env,
    "workdir": _workdir,
    "packages": _packages,
    "run": _run,
    "user": _user,
    "labels": _labels,
    "timeout": check_timeout,
}
