"""A tree as a tar stream: the same bytes for the same tree, in bounded memory."""

from __future__ import annotations

import os
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable
from contextlib import aclosing, asynccontextmanager, closing
from itertools import chain
from pathlib import Path

from anyio import create_memory_object_stream, create_task_group, to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from barasync.config.schema import WORKSPACE
from barasync.errors import BarasyncError
from barasync.workspace.below import Below
from barasync.workspace.tree import READ_BYTES, Entry, Kind, Tree, read_file

_PREFIX = WORKSPACE.removeprefix("/")
_BLOCK = 512
_END_MARKER = bytes(2 * _BLOCK)
_NAME_BYTES = 100
_AHEAD = 2
_NUMBER_LIMIT = 8**11
_TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
}
# A header of an empty name and zeroes, with blanks for its checksum.
_TEMPLATE = (
    bytes(100)
    + b"0000000\0" * 3
    + b"00000000000\0" * 2
    + b" " * 8
    + bytes(101)
    + b"ustar\x0000"
    + bytes(247)
)


def stream(tree: Tree) -> Generator[bytes, None, None]:
    """Give a tar archive of a tree below `workspace/`; see `pack`."""
    newest = max((entry.mtime for entry in tree.entries), default=0)
    # Every user of the image has to get in, whatever the mode of the project's directory is.
    root = Entry(path="", kind=Kind.DIRECTORY, mode=0o755, mtime=newest)
    return pack(tree.root, chain((root,), tree.entries), _PREFIX)


def pack(
    root: Path, entries: Iterable[Entry], name: str, *, start: str = ""
) -> Generator[bytes, None, None]:
    """Give a tar archive of entries below `root`, in pieces of 256 KiB.

    What lies at the path `start` below the root, the root itself by default, is called `name` in
    the archive; entries are this and what lies below it. With an empty `name` they have the names
    that they have in there, and there is none for the start itself.

    They keep their order, modes and modification times; the owner is 0:0 (podman gives files to
    the image's user when it unpacks them). Long and undecodable names are in pax headers. Closing
    the iterator closes the files it has open.

    Raises:
        ConfigError: a file cannot be read any more.
        TreeChanged: a file changed since its entry was made.

    Source: POSIX.1-2017, pax, "pax Interchange Format".
    """
    pending = bytearray()
    with Below(root) as below:
        for piece in _pieces(below, entries, name, len(start)):
            pending += piece
            if len(pending) >= READ_BYTES:
                yield bytes(pending)
                pending.clear()
    yield bytes(pending)


def _pieces(
    below: Below, entries: Iterable[Entry], name: str, start: int
) -> Generator[bytes, None, None]:
    for entry in entries:
        yield _header(entry, _text(f"{name}/{entry.path[start:].lstrip('/')}".strip("/")))
        if entry.kind is Kind.FILE:
            yield from read_file(below, entry)
            yield bytes(-entry.size % _BLOCK)
    yield _END_MARKER


def _header(entry: Entry, name: str) -> bytes:
    """Return an entry's header block, with pax headers before it where it needs some."""
    target = _text(entry.target)
    return _short_header(entry, name, target) or _long_header(entry, name, target)


def _short_header(entry: Entry, name: str, target: str) -> bytes | None:
    """Return the block if it alone will do, the same that `_long_header` returns then.

    It is made twenty times as fast, and most are such.
    """
    if entry.kind is Kind.DIRECTORY:
        name += "/"
    fits = len(name) <= _NAME_BYTES and len(target) <= _NAME_BYTES
    if not (fits and name.isascii() and target.isascii()):
        return None
    if entry.size >= _NUMBER_LIMIT or not 0 <= entry.mtime < _NUMBER_LIMIT:
        return None
    block = bytearray(_TEMPLATE)
    block[: len(name)] = name.encode("ascii")
    block[100:107] = b"%07o" % (entry.mode & 0o7777)
    block[124:135] = b"%011o" % entry.size
    block[136:147] = b"%011o" % entry.mtime
    block[156:157] = _TYPES[entry.kind]
    block[157 : 157 + len(target)] = target.encode("ascii")
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _long_header(entry: Entry, name: str, target: str) -> bytes:
    header = tarfile.TarInfo(name)
    header.type = _TYPES[entry.kind]
    header.mode = entry.mode
    header.mtime = entry.mtime
    header.size = entry.size
    header.linkname = target
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@asynccontextmanager
async def made_ahead(
    archive: Generator[bytes, None, None],
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Give an archive piece by piece, made in a worker thread while the pieces before are sent.

    At most `_AHEAD` pieces wait. What goes wrong with the archive is raised where its pieces are
    taken. The archive is closed at the end of the block.
    """
    send, receive = create_memory_object_stream[bytes | BarasyncError](_AHEAD)
    failure: Exception | None = None
    with closing(archive), send, receive:
        async with create_task_group() as group:
            group.start_soon(_make, archive, send)
            try:
                async with aclosing(_taken(receive)) as pieces:
                    yield pieces
            except Exception as error:  # noqa: BLE001 raised again, alone instead of in a group
                failure = error
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _make(
    archive: Generator[bytes, None, None], send: MemoryObjectSendStream[bytes | BarasyncError]
) -> None:
    with send:
        try:
            while (piece := await to_thread.run_sync(next, archive, None)) is not None:
                await send.send(piece)
        except BarasyncError as error:
            await send.send(error)


async def _taken(
    receive: MemoryObjectReceiveStream[bytes | BarasyncError],
) -> AsyncGenerator[bytes, None]:
    async for piece in receive:
        if isinstance(piece, BarasyncError):
            raise piece
        yield piece


def _text(path: str) -> str:
    """Spell the bytes of a path so that encoding it as UTF-8 gives them back, in any locale."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")
