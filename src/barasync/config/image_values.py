"""What the values of an image's settings may be, wherever they are written."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence

from barasync.config.bounds import BadValue
from barasync.config.copies import Copy, parse_copies
from barasync.config.values import CELL_VARIABLES
from barasync.errors import ConfigError

_LONGEST_VALUE = 30_000
"""In bytes: a Containerfile's reader ends the file at a line of 64 KiB (measured)."""
_LONGEST_SCRIPT = 131_000
"""In bytes: Linux takes 128 KiB for one argument, and a script may get some words before it."""
_PREFIX = "barasync."

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_PACKAGE = re.compile(r"[A-Za-z0-9@][^\s'\"\\$`]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_PATTERN = re.compile(r"[*?\[\\]")


EntryPlace = Callable[[int], str]
"""Says where an entry of a list was written, by its index."""


def project_copies(
    texts: Sequence[str], place: EntryPlace, *, context: str = "", outside: bool = True
) -> tuple[Copy, ...]:
    """Return what entries `SRC:DST` say; sources are relative to the project's directory.

    They are normalised. Where they are written they start at `context`, a directory in the project
    or an absolute one. Those `outside` of both are absolute; only the command line can have them,
    and names that have something of a pattern: a shell has seen to patterns there.

    Raises:
        ConfigError: an entry is not `SRC:DST`, or its source is outside of the project.
    """
    copies = []
    for index, copy in enumerate(parse_copies(texts, place)):
        where = place(index)
        if is_pattern(copy.source) and not outside:
            raise ConfigError(
                f"{where}: {copy.source!r} has one of * ? [ \\ in it, as a pattern would",
                hint="name a file, or the directory that holds all of it",
            )
        try:
            source = project_path(copy.source, outside=outside)
        except BadValue as error:
            raise ConfigError(f"{where}: {error}", hint=error.hint) from None
        copies.append(Copy(posixpath.normpath(posixpath.join(context, source)), copy.destination))
    return tuple(copies)


def is_pattern(path: str) -> bool:
    """Tell whether a path would be read as a pattern where patterns are."""
    return _PATTERN.search(path) is not None


def project_path(path: str, *, outside: bool) -> str:
    """Return a path in the project, or with `outside` an absolute one, normalised.

    Raises:
        BadValue: it is neither.
    """
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


def check_env(variables: Mapping[str, str]) -> None:
    """Refuse variables that an image cannot have; `keys` of the error is the name.

    Raises:
        BadValue: one is that.
    """
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


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that an image cannot have, or that are ours.

    Raises:
        BadValue: one is that.
    """
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
    if _bytes(value, name) > _LONGEST_VALUE:
        raise BadValue(f"the value has more than {_LONGEST_VALUE} bytes", name)


def check_workdir(path: str) -> None:
    """Refuse what is not an absolute path.

    Raises:
        BadValue: one is that.
    """
    if not path.startswith("/") or path != path.strip() or not path.isprintable():
        raise BadValue(f"{path!r} is not an absolute path of printable characters")


def check_user(name: str) -> None:
    """Refuse what cannot be a user, with a group or not.

    Raises:
        BadValue: one is that.
    """
    if _USER.fullmatch(name) is None:
        raise BadValue(f"{name!r} is not a user: NAME, UID, NAME:GROUP or UID:GID")


def check_packages(names: list[str]) -> None:
    """Refuse what no distribution calls a package.

    Raises:
        BadValue: one is that.
    """
    for index, name in enumerate(names):
        if _PACKAGE.fullmatch(name) is None:
            raise BadValue(f"{name!r} is not the name of a package", index)


def check_run(scripts: list[str]) -> None:
    """Refuse scripts that `/bin/sh -c` cannot take as one.

    Raises:
        BadValue: one is that.
    """
    for index, script in enumerate(scripts):
        if not script.strip():
            raise BadValue("the command is empty", index)
        if script.lstrip("\n")[0] in "-+":
            raise BadValue("/bin/sh takes what begins with - or + for options", index)
        if "\0" in script:
            raise BadValue(f"{script!r} contains a NUL character", index)
        if _bytes(script, index) > _LONGEST_SCRIPT:
            raise BadValue(
                f"the script has more than {_LONGEST_SCRIPT} bytes, too many for one argument",
                index,
                hint="make it a file of the project, `copy` that, and run it",
            )


def _bytes(text: str, *keys: str | int) -> int:
    """Return how many bytes a text has; the command line may have some that are none of UTF-8."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise BadValue("it is not UTF-8", *keys) from None


def check_printable(path: str) -> None:
    """Refuse a path that no Containerfile can say.

    Raises:
        BadValue: one is that.
    """
    if not path.isprintable():
        raise BadValue(f"{path!r} has characters that are not printable")
