"""The safe writer: a tar stream that nobody vouches for, into one place on this machine.

Kept are regular files (sparse ones too), directories, symbolic links that stay inside, and hard
links to files that this extraction wrote. Everything else is left out and listed. Where two members
have one name, the first stays; two directories of one name are one. `writer` says how a member is
created, `rules` which are, `tarstream` how the stream is read.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from barasync.artifacts.budget import Budget, Share
from barasync.artifacts.directories import CONTENT, DIRECTORY
from barasync.artifacts.ledger import Ledger
from barasync.artifacts.manifest import Manifest
from barasync.artifacts.rules import Limits
from barasync.artifacts.selection import Selection
from barasync.artifacts.tarstream import Read, TarStream
from barasync.artifacts.writer import Writer

__all__ = ["Limits", "extract"]

_PREVIOUS = "previous"


def extract(
    read: Read,
    destination: Path,
    limits: Limits,
    ledger: Ledger,
    *,
    share: Share | None = None,
    selection: Selection | None = None,
    rooted: bool = False,
    replace: bool = False,
) -> Manifest:
    """Write a tar stream to `destination`, whole or not at all; blocks, so call it in a thread.

    With `rooted`, the first member is the root of the archive, everything else lies below it, and
    `destination` becomes that root, be it a directory or a file. Without, `destination` becomes a
    directory that holds the members. What was at `destination` before is an error, or with
    `replace` is exchanged at the end. The directory above it has to exist.

    With a `selection`, which needs `rooted`, only the members that it wants are written, and the
    directories above them. Where that is nothing the manifest is empty and nothing is put in place.
    An archive of which not everything is wanted may have any length.

    What is taken is taken from `share`; without, `limits` are those of this archive alone. What was
    written is noted in `ledger`, from which the manifest reads it: its owner closes it afterwards.

    Everything is written to a directory `.barasync-….partial` beside the destination and renamed
    into place. Whatever ends the extraction early (also an exception of `read`, which is how a
    caller cancels it) removes that directory and leaves the destination as it was.

    Raises:
        TruncatedArchive: the stream ended before the end-of-archive marker.
        LimitExceeded: the archive holds more than `limits` allow.
        OriginalsLeftOut: the selection needs more `originals`.
        ArchiveError: the stream is not a tar archive, or not one with a usable root.
        OSError: the destination exists, or this machine cannot write there, or the ledger.
    """
    share = share or Share(Budget(limits))
    try:
        with _directory(destination.parent) as parent, _staging(parent) as staging:
            if not replace:
                _refuse_existing(parent, destination)
            longest = limits.stream_bytes if selection is None else sys.maxsize
            ledger.begin()
            writer = Writer(staging, limits, share, ledger, selection, rooted=rooted)
            with closing(writer):
                manifest = writer.write(TarStream(read, max_bytes=longest))
            if manifest.totals.members or selection is None:
                _publish(staging, parent, destination, replace=replace)
    except BaseException:
        share.give_back()
        raise
    return manifest


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _staging(parent: int) -> Iterator[int]:
    """Make a private directory below `parent` and remove it with all it holds at the end."""
    name = f".barasync-{secrets.token_hex(8)}.partial"
    os.mkdir(name, 0o700, dir_fd=parent)
    try:
        descriptor = os.open(name, DIRECTORY, dir_fd=parent)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    finally:
        # What cannot be removed (a replaced tree of another owner) must not hide how it ended.
        shutil.rmtree(name, ignore_errors=True, dir_fd=parent)


def _refuse_existing(parent: int, destination: Path) -> None:
    try:
        os.stat(destination.name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(destination))


def _publish(staging: int, parent: int, destination: Path, *, replace: bool) -> None:
    """Rename the content into place; an earlier one goes to the staging directory first."""
    name = destination.name
    replaced = False
    if replace:
        with suppress(FileNotFoundError):
            os.rename(name, _PREVIOUS, src_dir_fd=parent, dst_dir_fd=staging)
            replaced = True
    else:
        _refuse_existing(parent, destination)
    try:
        os.rename(CONTENT, name, src_dir_fd=staging, dst_dir_fd=parent)
    except OSError:
        if replaced:
            os.rename(_PREVIOUS, name, src_dir_fd=staging, dst_dir_fd=parent)
        raise
