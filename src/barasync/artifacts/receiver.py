"""Archives out of a container, each streamed from the socket to a thread that writes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from dataclasses import replace as changed
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import anyio
from anyio import CapacityLimiter, to_thread

from barasync.aiopodman import Looked, NotFound, PodmanError, StreamTruncated
from barasync.artifacts.budget import Budget, Share
from barasync.artifacts.errors import (
    ArchiveError,
    OriginalsLeftOut,
    OutOfReach,
    TruncatedArchive,
)
from barasync.artifacts.extract import Limits, extract
from barasync.artifacts.ledger import Ledger
from barasync.artifacts.manifest import Lost, Manifest, Refusal
from barasync.artifacts.mounts import Mounts
from barasync.artifacts.pipe import Pipe, PipeAborted
from barasync.artifacts.place import Place
from barasync.artifacts.selection import Selection
from barasync.artifacts.sources import Fetch

APART = "something is mounted there; what it holds comes when it is named itself"


class Form(Enum):
    """What becomes of an archive: its place here, what is in a place, or what is in a file."""

    WHOLE = auto()
    """The file or directory is at its place."""
    CONTENT = auto()
    """What is in the directory is in its place, which is one here."""
    UNPACKED = auto()
    """The file is a tar archive; what is in it is in its place, which is a directory here."""


class Archived(Looked, Protocol):
    """What is needed of a container: `aiopodman.Container` is one."""

    def archive(self, path: str, /) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Yield a tar archive of a file or directory, in pieces as they come."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where an archive goes, where that is noted, and what it takes of the limits."""

    place: Place
    ledger: Ledger
    share: Share


class Receiver:
    """Writes the archives of one container, each in a thread.

    With `replace` an archive takes the place of what is at its destination. `form` says what
    becomes of it there.
    """

    def __init__(
        self,
        container: Archived,
        limits: Limits,
        mounts: Mounts,
        threads: int = 1,
        *,
        replace: bool = True,
        form: Form = Form.WHOLE,
    ) -> None:
        self._form = form
        self._container = container
        self._limits = limits
        self._mounts = mounts
        self._threads = CapacityLimiter(threads)
        self._replace = replace

    async def fetch(
        self,
        fetch: Fetch,
        place: Place,
        ledger: Ledger,
        done: Callable[[Manifest], None],
        *,
        share: Share | None = None,
    ) -> None:
        """Fetch an archive; `done` hears of what is in place, which `ledger` holds.

        What is taken is taken from `share`; without, the limits are those of this archive alone.

        Raises:
            ArchiveError, OSError: as `extract`.
            PodmanError: the archive could not be had, or broke off.
        """
        target = _Target(place, ledger, share or Share(Budget(self._limits)))
        reached = {path: fetch.reaches(path) for path in self._mounts.inside(fetch.path)}
        excluded = {path: pattern for path, pattern in reached.items() if pattern is not None}
        if not fetch.patterns and not excluded:
            await self._receive(fetch.path, target, None, done)
            return
        selection = Selection(patterns=fetch.patterns, excluded=tuple(excluded.values()))

        def told(manifest: Manifest) -> None:
            apart = tuple(Refusal(path=path, reason=APART) for path in excluded)
            done(changed(manifest, refused=(*apart, *manifest.refused)))

        try:
            await self._receive(fetch.path, target, selection, told)
        except OriginalsLeftOut as error:
            selection = selection.with_originals(error.paths)
        else:
            return
        await self._receive(fetch.path, target, selection, told)

    async def _receive(
        self,
        path: str,
        target: _Target,
        selection: Selection | None,
        done: Callable[[Manifest], None],
    ) -> None:
        """Feed an archive to the writer in its thread.

        The thread is never abandoned: when this is cancelled, the pipe is aborted, which ends the
        thread at its next read, and its end is awaited. If it had just put everything in place,
        `done` is called all the same.
        """
        pipe = Pipe()
        errors: list[Exception] = []

        async def write() -> None:
            extraction = partial(self._write, pipe, target, selection)
            try:
                done(await to_thread.run_sync(extraction, limiter=self._threads))
            except (ArchiveError, OSError, PipeAborted) as error:
                errors.append(error)
            # It may have stopped early; nobody empties the pipe any more.
            group.cancel_scope.cancel()

        async with self._container.archive(path) as chunks:
            async with anyio.create_task_group() as group:
                group.start_soon(write)
                try:
                    async for data in chunks:
                        await pipe.send(data)
                    pipe.finish()
                    # Until `write` ends this, or else the caller: then the thread is to stop.
                    await anyio.sleep_forever()
                except PodmanError as error:
                    errors.append(error)
                finally:
                    pipe.abort()
            if errors:
                first, *others = errors  # the first to happen is the reason of the other
                for note in (note for other in others for note in _notes(other)):
                    first.add_note(note)
                raise first

    def _write(self, pipe: Pipe, target: _Target, selection: Selection | None) -> Manifest:
        """Extract what comes through the pipe; runs in a worker thread."""
        return extract(
            pipe.reading,
            target.place,
            self._limits,
            target.ledger,
            share=target.share,
            selection=selection,
            rooted=self._form is not Form.UNPACKED,
            packed=self._form is Form.UNPACKED,
            spread=self._form is not Form.WHOLE,
            replace=self._replace,
        )


def problem(error: PodmanError | ArchiveError | OSError, path: str, destination: Path) -> str:
    """Say in one sentence why there is nothing of a path, and what else was left here."""
    return "; ".join((_reason(error, path, destination), *_notes(error)))


def _notes(error: Exception) -> tuple[str, ...]:
    return tuple(getattr(error, "__notes__", ()))


def _reason(error: PodmanError | ArchiveError | OSError, path: str, destination: Path) -> str:
    match error:
        case NotFound(status=HTTPStatus.NOT_FOUND) if "no such container" not in error.cause:
            return missing(path)
        case StreamTruncated() | TruncatedArchive():
            return f"podman cut the archive of {path} off; nothing of it was kept"
        case OutOfReach():
            return str(error)
        case ArchiveError():
            return f"the archive of {path} is refused: {error}"
        case OSError():
            return f"{destination} cannot be written: {error.strerror}"
        case _:
            return f"{path} could not be fetched: {error}"


def missing(path: str) -> str:
    """Say that there is no such path."""
    return f"{path} is not in the container"


def lost(files: Lost) -> str:
    """Say that files are not there, though the rest is."""
    if files.files == 1:
        return f"a file had to be left out: {files.first}"
    return f"{files.files} files had to be left out, the first is {files.first}"
