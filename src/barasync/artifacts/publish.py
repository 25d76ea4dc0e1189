"""What was written, put in place: renamed, and what was there before exchanged for it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from barasync.artifacts.directories import DIRECTORY
from barasync.artifacts.errors import ArchiveError
from barasync.artifacts.rename import Name, exchange, move

_PREVIOUS = "previous"


def refuse_existing(target: Name) -> None:
    """Make sure that nothing has a name.

    Raises:
        FileExistsError: something has it.
    """
    try:
        os.stat(target.name, dir_fd=target.directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.name)


def publish(
    content: Name,
    target: Name,
    unrestored: list[str],
    *,
    replace: bool,
    aside: Name | None = None,
) -> Name | None:
    """Rename the content into place; return where what was there is now, if anything was.

    That is the name that the content had, or `aside` where two names cannot be exchanged, by
    default a name beside the content. Where it fails and what was there cannot be put back, the
    target is added to `unrestored`, and what was there stays beside the content.

    Raises:
        FileExistsError: something is there, and `replace` is false.
        OSError: it cannot be renamed.
    """
    while True:
        try:
            move(content, target)
        except FileExistsError:
            if not replace:
                raise
        else:
            return None
        with suppress(FileNotFoundError):
            if exchange(content, target):
                return content
            previous = aside or Name(content.directory, _PREVIOUS)
            _replace_in_two_steps(content, target, previous, unrestored)
            return previous


def publish_content(content: Name, directory: int, unrestored: list[str], *, replace: bool) -> bool:
    """Rename all that is in a directory into another one; return whether something was there.

    All of it or nothing: what was renamed is renamed back where one of them cannot be. For a moment
    some are there and others not. Targets whose former content cannot be put back are added to
    `unrestored`; it stays in the content, or beside it.

    Raises:
        ArchiveError: the content is no directory.
        FileExistsError: something of that name is there, and `replace` is false.
        OSError: it cannot be renamed.
    """
    try:
        opened = os.open(content.name, DIRECTORY, dir_fd=content.directory)
    except NotADirectoryError:
        raise ArchiveError("it is not a directory, and nothing is in it") from None
    done: list[tuple[Name, Name, Name | None]] = []
    try:
        names = sorted(os.listdir(opened))  # noqa: PTH208 - by its descriptor
        if not replace:
            for name in names:
                refuse_existing(Name(directory, name))
        for number, name in enumerate(names):
            one, target = Name(opened, name), Name(directory, name)
            aside = Name(content.directory, f"{_PREVIOUS}-{number}")
            previous = publish(one, target, unrestored, replace=replace, aside=aside)
            done.append((one, target, previous))
    except BaseException:
        for one, target, previous in reversed(done):
            _undo(one, target, previous, unrestored)
        raise
    finally:
        os.close(opened)
    return any(previous is not None for _, _, previous in done)


def _undo(content: Name, target: Name, previous: Name | None, unrestored: list[str]) -> None:
    """Rename back what was put in place; what has gone from there since stays where it is."""
    with suppress(OSError):
        if previous != content:
            _rename(target, content)
        elif exchange(content, target):
            return
    if previous is not None:
        _restore(previous, target, unrestored)


def _replace_in_two_steps(
    content: Name, target: Name, previous: Name, unrestored: list[str]
) -> None:
    """Do what `exchange` does where the file system cannot: for a moment there is nothing."""
    _rename(target, previous)
    try:
        _rename(content, target)
    except OSError:
        _restore(previous, target, unrestored)
        raise


def _restore(previous: Name, target: Name, unrestored: list[str]) -> None:
    """Put back what was there, never onto what came there since."""
    try:
        move(previous, target)
    except OSError:
        unrestored.append(target.name)


def _rename(source: Name, target: Name) -> None:
    os.rename(source.name, target.name, src_dir_fd=source.directory, dst_dir_fd=target.directory)
