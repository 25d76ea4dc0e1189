"""The safe writer: a tar stream that nobody vouches for, into one place on this machine.

Kept are regular files (sparse ones too), directories, symbolic links that stay inside, and hard
links to files that this extraction wrote. Everything else is left out and listed. Where two members
have one name, the first stays; two directories of one name are one. `writer` says how a member is
created, `rules` which are, `tarstream` how the stream is read.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path

from barasync.artifacts.budget import Budget, Share
from barasync.artifacts.directories import CONTENT, DIRECTORY
from barasync.artifacts.ledger import Ledger
from barasync.artifacts.manifest import Manifest, Refusal
from barasync.artifacts.packed import Packed
from barasync.artifacts.place import Place
from barasync.artifacts.publish import publish, publish_content, refuse_existing
from barasync.artifacts.removal import remove
from barasync.artifacts.rename import Name
from barasync.artifacts.rules import Limits
from barasync.artifacts.selection import Selection
from barasync.artifacts.tarstream import Read, TarStream
from barasync.artifacts.writer import Writer
from barasync.whole_file import PARTIAL, YOUNG_SECONDS, partial_name

__all__ = ["Limits", "extract"]

_FEWER = ", most of which nobody wants; name what is wanted with fewer wildcards"


def extract(
    reading: Callable[[], AbstractContextManager[Read]],
    place: Place,
    limits: Limits,
    ledger: Ledger,
    *,
    share: Share | None = None,
    selection: Selection | None = None,
    rooted: bool = False,
    packed: bool = False,
    spread: bool = False,
    replace: bool = False,
) -> Manifest:
    """Write a tar stream to a place, whole or not at all; blocks, so call it in a thread.

    `reading` opens the stream: it is entered while members are written, and left before anything is
    removed, which may take as long.

    With `rooted`, the first member is the root of the archive, everything else lies below it, and
    the place becomes that root, be it a directory or a file. Without, the place becomes a directory
    that holds the members. What was there before is an error, or with `replace` is exchanged at the
    end, in one step where the file system can. Directories that are missing above are made.

    With `packed`, which excludes `rooted`, the stream's only member is a file that is a tar archive
    itself, compressed or not, and the members are those of that. With `spread` the place is a
    directory, which keeps what it holds, and what would be in it takes its place there, one after
    the other: nothing of one name may be there before, unless `replace` exchanges it.

    With a `selection`, which needs `rooted`, only the members that it wants are written, and the
    directories above them. Where that is nothing the manifest is empty and nothing is put in place.
    So much of an archive may be unwanted as `limits.skipped_bytes` says.

    What is taken is taken from `share`; without, `limits` are those of this archive alone. What was
    written is noted in `ledger`, from which the manifest reads it: its owner closes it afterwards.

    Everything is written to a directory `.barasync-….partial` beside the place and renamed.
    Whatever ends the extraction early (also an exception of the stream, which is how a caller
    cancels it) removes that directory and leaves the place as it was. Where it cannot be removed,
    the manifest lists it, or a note of the exception tells. Where what was replaced cannot be put
    back it is kept as `.barasync-….kept`, and a note tells. One whose process was killed is removed
    by the next extraction into the same directory.

    Raises:
        TruncatedArchive: the stream ended before the end-of-archive marker.
        LimitExceeded: the archive holds more than `limits` allow.
        OriginalsLeftOut: the selection needs more `originals`.
        ArchiveError: the stream is not a tar archive, or not one with a usable root; or nothing can
            be in what is to be spread.
        OSError: the destination exists, or this machine cannot write there, or the ledger.
    """
    share = share or Share(Budget(limits))
    try:
        beside = place / CONTENT if spread else place
        with beside.parent(make=True) as (parent, name):
            target = Name(parent, name)
            if not (replace or spread):
                refuse_existing(target)
            with _staging(parent, beside.path.parent) as staging:
                ledger.begin()
                writer = Writer(staging.descriptor, limits, share, ledger, selection, rooted=rooted)
                with closing(writer), reading() as read:
                    stream = _stream(read, limits, selection, packed=packed)
                    manifest = writer.write(stream)
                content = Name(staging.descriptor, CONTENT)
                if selection is not None and not manifest.totals.members:
                    share.give_back()
                elif spread:
                    staging.has_replaced = publish_content(
                        content, parent, staging.unrestored, replace=replace
                    )
                else:
                    previous = publish(content, target, staging.unrestored, replace=replace)
                    staging.has_replaced = previous is not None
    except BaseException:
        share.give_back()
        raise
    return changed(manifest, refused=(*manifest.refused, *staging.remains))


def _stream(read: Read, limits: Limits, selection: Selection | None, *, packed: bool) -> TarStream:
    if packed:
        return Packed(read, max_bytes=limits.stream_bytes)
    if selection is None:
        return TarStream(read, max_bytes=limits.stream_bytes)
    longest = limits.stream_bytes + limits.skipped_bytes
    return TarStream(read, max_bytes=longest, advice=_FEWER)


@dataclass(slots=True)
class _Staging:
    """An open private directory; `remains` lists it at the end if it could not be removed.

    It is kept where it holds what could not be put back to the names `unrestored`.
    """

    descriptor: int
    has_replaced: bool = False
    unrestored: list[str] = field(default_factory=list)
    remains: tuple[Refusal, ...] = ()


@contextmanager
def _staging(parent: int, parent_path: Path) -> Iterator[_Staging]:
    """Make a private directory below `parent` and remove it with all it holds at the end.

    If it cannot be removed (it may hold a replaced tree of another owner), that must not hide how
    everything else ended: it is in `remains`, or a note of the exception that ended it says so.
    """
    _remove_abandoned(parent)
    name = partial_name()
    os.mkdir(name, 0o700, dir_fd=parent)
    unrestored: list[str] = []
    try:
        descriptor = os.open(name, DIRECTORY, dir_fd=parent)
        try:
            staging = _Staging(descriptor, unrestored=unrestored)
            # Tells others that somebody is at work here, for as long as this process lives.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield staging
        finally:
            os.close(descriptor)
    except BaseException as error:
        if unrestored:
            kept = parent_path / _kept(name, parent)
            error.add_note(f"{kept} holds what was {', '.join(unrestored)}; move it back")
        elif why := _removed(name, parent):
            error.add_note(f"{parent_path / name} cannot be removed ({why}); remove it")
        raise
    why = _removed(name, parent)
    if why:
        holds = "it holds what was replaced and" if staging.has_replaced else "it"
        text = f"{holds} cannot be removed ({why}); remove it"
        staging.remains = (Refusal(path=name, reason=text),)


def _kept(name: str, parent: int) -> str:
    """Give a directory a name by which no extraction removes it; return the one that it has."""
    kept = name.removesuffix("partial") + "kept"
    try:
        os.rename(name, kept, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError:
        return name
    return kept


def _removed(name: str, parent: int) -> str:
    """Remove a directory; why it cannot be, if so."""
    try:
        remove(name, dir_fd=parent)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _remove_abandoned(parent: int) -> None:
    """Remove what extractions of dead processes left in a directory."""
    for name in os.listdir(parent):
        if PARTIAL.fullmatch(name) is None:
            continue
        with suppress(OSError):
            descriptor = os.open(name, DIRECTORY, dir_fd=parent)
            try:
                # One that was just made may not be locked yet.
                if time.time() - os.fstat(descriptor).st_ctime > YOUNG_SECONDS:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove(name, dir_fd=parent)
            finally:
                os.close(descriptor)
