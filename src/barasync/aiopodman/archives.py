"""Archives out of a container and into one, and whether one is whole.

Podman answers 200 before it packs, and nothing that goes wrong afterwards reaches the client. Three
ways to lose files silently were measured, on 4.3.1 and on 5.4.2:

- The container has just ended, and podman's cleanup unmounts its files before they are read: the
  archive is empty. A mount of our own keeps them there.
- The connection or podman breaks: the tar format's end marker is missing.
- The container is removed meanwhile: the archive stops between two members, and podman writes the
  end marker all the same. That the container is still there at the end tells.
"""

from __future__ import annotations

import base64
import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio
import msgspec

from barasync.aiopodman.answers import answered
from barasync.aiopodman.errors import (
    APIError,
    NotFound,
    PodmanError,
    ProtocolError,
    StreamTruncated,
)
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.streams import DecodedStream
from barasync.aiopodman.transport import Query
from barasync.aiopodman.wire.archive import ArchiveCheck
from barasync.aiopodman.wire.documents import decode_document

_UNMOUNT_SECONDS = 10.0
_END_SECONDS = 10.0
# While podman packs, it has the container's lock: it would be waited for until all is packed.
_UNMOUNT_SECONDS_WHEN_CANCELLED = 1.0
_STAT = "X-Docker-Container-Path-Stat"
# Go's `os.ModeSymlink`, `os.ModeDevice` and so on.
_SYMLINK = 1 << 27
_PERMISSIONS = 0o777
_SPECIAL = {1 << 26: "a device", 1 << 25: "a named pipe", 1 << 24: "a socket"}


class _Stat(msgspec.Struct, frozen=True, rename="camel"):
    mode: int
    is_dir: bool
    link_target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStat:
    """What is at a path of a container.

    `target` is where a symbolic link ends, as an absolute path without links, whether something is
    there or not; `None` for anything but a link. `is_directory` is about that end. `special` says
    what it is where that is no file, directory or link, of which alone there are archives.
    `permissions` are the nine bits of what is at the path itself, a link say.
    """

    is_directory: bool
    target: str | None
    special: str | None = None
    permissions: int = 0


async def stat_path(libpod: Libpod, container: str, path: str) -> PathStat | None:
    """Look at a path of a container; `None` if nothing is there. See `Container.stat`."""
    try:
        headers = (await libpod.head(f"{container}/archive", {"path": path})).headers
    except NotFound as error:
        # A link that leads nowhere is described all the same.
        headers = error.headers
    encoded = headers.get(_STAT)
    if encoded is None:
        return None
    try:
        stat = decode_document(base64.b64decode(encoded, validate=True), _Stat)
    except ValueError as error:
        raise ProtocolError(f"podman describes {path} with {encoded[:80]!r}") from error
    return PathStat(
        is_directory=stat.is_dir,
        target=stat.link_target if stat.mode & _SYMLINK else None,
        special=next((what for bit, what in _SPECIAL.items() if stat.mode & bit), None),
        permissions=stat.mode & _PERMISSIONS,
    )


@asynccontextmanager
async def open_archive(
    libpod: Libpod, container: str, path: str | None
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield the tar archive of a path in a container, or of all its files.

    `container` is the path of its requests.

    Source: `GET /libpod/containers/{id}/archive` and `…/export`. Podman 4 sends the headers of an
    export when it has packed everything.
    """
    if path is None:
        answer = libpod.stream("GET", f"{container}/export", {}, unhurried=True)
    else:
        answer = libpod.stream("GET", f"{container}/archive", {"path": path})
    async with _HeldMount(libpod, container) as mount, answer as data:
        yield _WholeArchive(DecodedStream(data, ArchiveCheck()), mount)


async def send_archive(
    libpod: Libpod, container: str, pieces: AsyncIterable[bytes], query: Query
) -> None:
    """Send a tar archive to a container, all of it.

    Podman is content with one that stops between two members, so that what it was sent has to be
    checked here. It goes on unpacking for a client that is gone, and leaves files of a container
    that is removed meanwhile, for good (measured on 5.4.2): whatever ends the upload early, also
    cancellation, ends it in order, and podman's answer is waited for, `_END_SECONDS` at most.
    """
    upload = _Upload(pieces)

    async def put() -> None:
        async with aclosing(upload.content()) as content:
            await libpod.put(f"{container}/archive", content, query)

    try:
        await answered(put, within=math.inf, cancelled=_END_SECONDS, on_cancel=upload.end)
    except PodmanError:
        # What podman says of half an archive is no news.
        if upload.failure is None:
            raise
    await anyio.lowlevel.checkpoint()
    if upload.failure is not None:
        raise upload.failure
    if not upload.is_complete:
        raise StreamTruncated("podman answered before it had taken all of the archive")


class _Upload:
    """What is sent of an archive: all, or what there was of it when it failed or was ended."""

    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._pieces = pieces
        self._taking = anyio.CancelScope()
        self._ended = False
        self.is_complete = False
        self.failure: Exception | None = None

    def end(self) -> None:
        """Take no more pieces."""
        self._ended = True
        self._taking.cancel()

    async def content(self) -> AsyncGenerator[bytes, None]:
        """Give the pieces; what goes wrong with them is the end of it, and is in `failure`."""
        pieces = aiter(self._pieces)
        while not self._ended:
            piece = None
            try:
                with anyio.CancelScope() as self._taking:
                    piece = await anext(pieces, None)
            except Exception as error:  # noqa: BLE001 - raised by `send_archive`
                self.failure = error
                return
            if piece is None:
                self.is_complete = not self._ended
                return
            yield piece


class _HeldMount:
    """Keeps a container's files mounted until it is released, or the block ends.

    When the block is cancelled, podman hears that they are to be released, and does it when it can:
    also when that comes before its answer, because it mounts for a client that is gone as well.

    Source: `POST /libpod/containers/{id}/mount`, `…/unmount`.
    """

    def __init__(self, libpod: Libpod, container: str) -> None:
        self._libpod = libpod
        self._container = container
        self._held = False

    async def __aenter__(self) -> Self:
        self._held = True
        try:
            await self._libpod.post(f"{self._container}/mount")
        except PodmanError:
            self._held = False
            raise
        except anyio.get_cancelled_exc_class():
            await self._let_go(_UNMOUNT_SECONDS_WHEN_CANCELLED)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        cancelled = isinstance(exc, anyio.get_cancelled_exc_class())
        await self._let_go(_UNMOUNT_SECONDS_WHEN_CANCELLED if cancelled else _UNMOUNT_SECONDS)

    async def release(self) -> None:
        """Let go of the files, once.

        Raises:
            NotFound: the container does not exist any more.
        """
        if not self._held:
            return
        # Never twice: a second time would take the mount of whoever else holds one.
        self._held = False
        try:
            await self._libpod.post(f"{self._container}/unmount")
        except NotFound:
            raise
        except APIError:
            return  # whatever keeps podman from it now, the container's removal does it as well

    async def _let_go(self, seconds: float) -> None:
        with anyio.move_on_after(seconds, shield=True), suppress(PodmanError):
            await self.release()


class _WholeArchive(AsyncIterator[bytes]):
    """The pieces of an archive; its end is one only if the container is still there."""

    def __init__(self, pieces: AsyncIterator[bytes], mount: _HeldMount) -> None:
        self._pieces = pieces
        self._mount = mount

    async def __anext__(self) -> bytes:
        piece = await anext(self._pieces, None)
        if piece is not None:
            return piece
        try:
            await self._mount.release()
        except NotFound as error:
            raise StreamTruncated(
                "the container was removed while its files were packed: the archive is not whole"
            ) from error
        raise StopAsyncIteration
