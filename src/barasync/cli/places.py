"""Where a download goes: a place in a file system that is ours to make, or stdout."""

from __future__ import annotations

import os
import posixpath
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from barasync.artifacts.manifest import escaped
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


def place_for(source: str, destination: str, *, replace: bool = False) -> Path:
    """Return where a path of a container is to be here, as `cp` would put it.

    Raises:
        ConfigError: something is there already that is not to be replaced, or nothing can be there.
    """
    if not destination:
        raise ConfigError("DST: a place has a name")
    place = Path(destination)
    try:
        if destination.endswith("/") or place.is_dir():
            place /= posixpath.basename(source)
        if not replace and _is_there(place):
            raise ConfigError(
                f"{escaped(str(place))} exists already",
                hint="remove it, name another place, or say --replace",
            )
    except OSError as error:
        raise _unseen(destination, error) from error
    _require_room(place, destination)
    return place


def directory_for(destination: str) -> Path:
    """Return the directory here that is to hold something, whether it is there or not.

    Raises:
        ConfigError: it is something else, or cannot be made.
    """
    if not destination:
        raise ConfigError("DST: a place has a name")
    place = Path(destination)
    _require_room(place / STDOUT, destination)
    return place


def _require_room(place: Path, destination: str) -> None:
    try:
        above = next(above for above in place.absolute().parents if _is_there(above))
    except OSError as error:
        raise _unseen(destination, error) from error
    if not above.is_dir():
        raise ConfigError(f"{escaped(str(above))} is not a directory")


def _unseen(destination: str, error: OSError) -> ConfigError:
    return ConfigError(f"DST: {destination!r} cannot be looked at: {error.strerror}")


def _is_there(path: Path) -> bool:
    """Tell whether there is something at a path, a link that leads nowhere for example.

    Raises:
        OSError: that cannot be told.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


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
                f"{escaped(name)} is not a regular file",
                hint=f"say - for stdout, and `> {escaped(name)}`",
            )
    except OSError as error:
        raise ConfigError(f"{escaped(name)} cannot be written: {error.strerror}") from error
    if not place.parent.is_dir():
        raise ConfigError(f"{escaped(str(place.parent))} is not a directory")
    return place


@contextmanager
def without_new_directories(place: Path) -> Iterator[None]:
    """Remove the directories above a place that were not there before, if the block fails.

    Those in which somebody has put something stay.
    """
    missing = [directory for directory in place.parents if not os.path.lexists(directory)]
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for directory in missing:
                directory.rmdir()
        raise
