"""Where a download goes: a place in a file system that is ours to make, or stdout."""

from __future__ import annotations

import os
import posixpath
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from barasync.errors import ConfigError

STDOUT = "-"
_STDOUT_NUMBER = 1


def require_no_terminal(what: str) -> None:
    """Refuse to write bytes that are for a program to where a person reads, or to nobody.

    Raises:
        ConfigError: stdout is a terminal, or closed: then its number is that of another file soon.
    """
    if sys.__stdout__ is None:
        raise ConfigError(f"{what} cannot be written: stdout is closed")
    if os.isatty(_STDOUT_NUMBER):
        raise ConfigError(
            f"{what} is not written to a terminal", hint="name a file, or add `> FILE` or `| tar t`"
        )


def place_for(source: str, destination: str) -> Path:
    """Return where a path of a container is to be here, as `cp` would put it.

    Raises:
        ConfigError: something is there already.
    """
    if not destination:
        raise ConfigError("DST: a place has a name")
    place = Path(destination)
    if destination.endswith("/") or place.is_dir():
        if os.path.lexists(place) and not place.is_dir():
            raise ConfigError(f"{place} is not a directory")
        place /= posixpath.basename(source)
    if os.path.lexists(place):
        raise ConfigError(f"{place} exists already", hint="remove it, or name another place")
    return place


def file_for(name: str) -> Path:
    """Return the regular file that is to be written, with links in its path followed.

    Raises:
        ConfigError: something else is there, or its directory is missing.
    """
    if not name or name.endswith("/"):
        raise ConfigError(f"FILE: {name!r} is not the name of a file")
    try:
        place = Path(name).resolve()
        if os.path.lexists(place) and not place.is_file():
            raise ConfigError(
                f"{name} is not a regular file", hint=f"say - for stdout, and `> {name}`"
            )
    except OSError as error:
        raise ConfigError(f"{name} cannot be written: {error.strerror}") from error
    if not place.parent.is_dir():
        raise ConfigError(f"{place.parent} is not a directory")
    return place


@contextmanager
def whole_file(place: Path) -> Iterator[int]:
    """Open a file that takes its place at the end of the block, and goes if that fails.

    Raises:
        OSError: it cannot be made there.
    """
    partial = place.with_name(f".barasync-{secrets.token_hex(8)}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            yield descriptor
        finally:
            os.close(descriptor)
        partial.replace(place)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
