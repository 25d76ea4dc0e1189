"""What `steps` of an image says: what is done to it in the order in which it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from barasync.config.bounds import BadValue
from barasync.config.copies import Copy
from barasync.config.image_values import (
    EntryPlace,
    check_env,
    check_packages,
    check_run,
    check_user,
    check_workdir,
    project_copies,
)
from barasync.config.spelling import closest
from barasync.errors import ConfigError

COPY = "copy"
"""The word before `SRC:DST`."""


@dataclass(frozen=True, slots=True)
class Script:
    """`run SCRIPT`: for `/bin/sh -c`, as the user and in the directory that the image has then."""

    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """`env NAME=VALUE`: the value is literal."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Directory:
    """`workdir DIR`, an absolute path."""

    path: str


@dataclass(frozen=True, slots=True)
class Account:
    """`user NAME`, with a group or not."""

    name: str


@dataclass(frozen=True, slots=True)
class Package:
    """`package NAME`, as the image's distribution calls it."""

    name: str


Entry = Script | Copy | Variable | Directory | Account | Package


def image_steps(
    texts: Sequence[str],
    place: EntryPlace = "steps[{}]".format,
    *,
    context: str = "",
    outside: bool = True,
) -> tuple[Entry, ...]:
    """Return what the entries of `steps` say; sources of copies as from `project_copies`.

    Raises:
        ConfigError: an entry is no step, or what it says cannot be meant.
    """
    return tuple(
        _parse(text, place(index), context=context, outside=outside)
        for index, text in enumerate(texts)
    )


def _parse(text: str, where: str, *, context: str, outside: bool) -> Entry:
    kind, _, said = text.partition(" ")
    if kind == COPY:
        [copy] = project_copies([said], lambda _: where, context=context, outside=outside)
        return copy
    read = _READ.get(kind)
    if read is None:
        known = (*_READ, COPY)
        meant = closest(kind, known)
        raise ConfigError(
            f"{where}: {text!r} is no step" + (f"; did you mean '{meant}'?" if meant else ""),
            hint=f"a step is one of {', '.join(known)}, then a blank and what is to be done",
        )
    try:
        return read(said)
    except BadValue as error:
        raise ConfigError(f"{where}: {error}", hint=error.hint) from None


def _script(said: str) -> Script:
    check_run([said])
    return Script(said)


def _variable(said: str) -> Variable:
    name, equals, value = said.partition("=")
    if not equals:
        raise BadValue(f"{said!r} is not NAME=VALUE")
    check_env({name: value})
    return Variable(name, value)


def _directory(said: str) -> Directory:
    check_workdir(said)
    return Directory(said)


def _account(said: str) -> Account:
    check_user(said)
    return Account(said)


def _package(said: str) -> Package:
    check_packages([said])
    return Package(said)


_READ: Mapping[str, Callable[[str], Entry]] = {
    "run": _script,
    "env": _variable,
    "workdir": _directory,
    "user": _account,
    "package": _package,
}
