"""Artifacts of a container: each path streamed from the socket through the safe writer to disk."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import anyio
from anyio import CapacityLimiter, Semaphore, to_thread

from barasync.aiopodman import NotFound, PodmanError, StreamTruncated
from barasync.artifacts.budget import Budget, Share
from barasync.artifacts.errors import ArchiveError, TruncatedArchive
from barasync.artifacts.extract import Limits, extract
from barasync.artifacts.manifest import Manifest
from barasync.artifacts.pipe import Pipe, PipeAborted
from barasync.matrix.outcome import Collected

CONCURRENT_PATHS = 4


class Archived(Protocol):
    """What `collect` needs of a container: `aiopodman.Container` is one."""

    def archive(self, path: str, /) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Yield a tar archive of a file or directory, in pieces as they come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """A path to fetch: absolute in the container, and where it goes below the destination."""

    path: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What came of a fetch: what was written, or why nothing was."""

    manifest: Manifest | None = None
    problem: str = ""


async def collect(
    container: Archived,
    sources: Sequence[str],
    destination: Path,
    limits: Limits,
    *,
    workspace: str = "/workspace",
) -> tuple[Collected, ...]:
    """Fetch files and directories of a container; one result per source, in their order.

    A source is absolute or relative to `workspace`. It arrives as `destination/NAME`, whole or not
    at all, in place of what an earlier collection left there; `plan` tells what happens when names
    clash. `limits` hold for all sources together. The directories down to the destination are made.

    Whatever goes wrong with a source is its `problem` (missing in the container, cut off by podman,
    refused by `extract`, no space here, not whole in time) and does not disturb the others. When
    cancelled, the sources that were complete stay, and nothing is left of the others.

    Source: `GET /libpod/containers/{id}/archive`.
    """
    paths = [absolute(source, workspace) for source in sources]
    fetches = plan(paths)
    results: dict[str, _Result] = {}
    turns = Semaphore(CONCURRENT_PATHS)
    receiver = _Receiver(limits)

    async def run(fetch: Fetch) -> None:
        place = destination / fetch.place

        def done(manifest: Manifest) -> None:
            results[fetch.path] = _Result(manifest=manifest)

        async with turns:
            try:
                async with container.archive(fetch.path) as chunks:
                    await receiver.receive(chunks, place, done)
            except (PodmanError, ArchiveError, OSError) as error:
                results[fetch.path] = _Result(problem=_problem(error, fetch.path, place))

    with anyio.move_on_after(limits.seconds):
        async with anyio.create_task_group() as group:
            for fetch in fetches:
                group.start_soon(run, fetch)
    late = f"was not whole after {limits.seconds:g} s (`artifacts_timeout`); nothing of it was kept"
    for fetch in fetches:
        results.setdefault(fetch.path, _Result(problem=f"{fetch.path} {late}"))
    return tuple(
        _collected(source, path, fetches, results, destination)
        for source, path in zip(sources, paths, strict=True)
    )


def absolute(source: str, workspace: str) -> str:
    """Return a source's path in the container, normalised: `out/` is `/workspace/out`."""
    return "/" + posixpath.normpath(posixpath.join("/", workspace, source)).lstrip("/")


def plan(paths: Sequence[str]) -> tuple[Fetch, ...]:
    """Decide what to fetch and where it goes, so that no two paths meet on this machine.

    Each path arrives under its last name. Where two would have the same, all of them keep their
    whole path below the destination (`/a/out` and `/b/out` arrive as `a/out` and `b/out`), and a
    path that lies below another comes with that one.
    """
    wanted = tuple(dict.fromkeys(path for path in paths if path != "/"))
    names = [posixpath.basename(path) for path in wanted]
    if len(set(names)) == len(names):
        return tuple(Fetch(path=path, place=name) for path, name in zip(wanted, names, strict=True))
    outer = [path for path in wanted if not any(_is_below(path, other) for other in wanted)]
    return tuple(Fetch(path=path, place=path.lstrip("/")) for path in outer)


def _is_below(path: str, other: str) -> bool:
    return path.startswith(f"{other}/")


def _problem(error: PodmanError | ArchiveError | OSError, path: str, destination: Path) -> str:
    """Say in one sentence why there is nothing of a path."""
    match error:
        case NotFound(status=HTTPStatus.NOT_FOUND) if "no such container" not in error.cause:
            return _missing(path)
        case StreamTruncated() | TruncatedArchive():
            return f"podman cut the archive of {path} off; nothing of it was kept"
        case ArchiveError():
            return f"the archive of {path} is refused: {error}"
        case OSError():
            return f"{destination} cannot be written: {error.strerror}"
        case _:
            return f"{path} could not be fetched: {error}"


class _Receiver:
    """Writes the archives of one cell, each in a thread, within limits that they share."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._budget = Budget(limits)
        self._threads = CapacityLimiter(CONCURRENT_PATHS)

    async def receive(
        self, chunks: AsyncIterator[bytes], destination: Path, done: Callable[[Manifest], None]
    ) -> None:
        """Feed an archive to the writer in its thread; `done` hears of what is in place.

        The thread is never abandoned: when this is cancelled, the pipe is aborted, which ends the
        thread at its next read, and its end is awaited. If it had just put everything in place,
        `done` is called all the same.

        Raises:
            ArchiveError, OSError: as `extract`.
            PodmanError: the stream broke.
        """
        pipe = Pipe()
        errors: list[Exception] = []

        async def write() -> None:
            extraction = partial(self._write, pipe, destination)
            try:
                done(await to_thread.run_sync(extraction, limiter=self._threads))
            except (ArchiveError, OSError, PipeAborted) as error:
                errors.append(error)
            # It may have stopped early; nobody empties the pipe any more.
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(write)
            try:
                async for data in chunks:
                    await pipe.send(data)
                pipe.finish()
            except PodmanError as error:
                errors.append(error)
            finally:
                pipe.abort()
        if errors:
            raise errors[0]  # the first to happen is the reason of the other

    def _write(self, pipe: Pipe, destination: Path) -> Manifest:
        """Extract what comes through the pipe; runs in a worker thread."""
        destination.parent.mkdir(parents=True, exist_ok=True)
        share = Share(self._budget)
        return extract(pipe.read, destination, self._limits, share=share, rooted=True, replace=True)


def _collected(
    source: str,
    path: str,
    fetches: Sequence[Fetch],
    results: Mapping[str, _Result],
    destination: Path,
) -> Collected:
    """Report on one source, which was fetched itself or comes with one that was."""
    fetch = _fetch_of(path, fetches)
    if fetch is None:
        return Collected(
            source=source,
            destination=None,
            problem="a whole file system is not an artifact; name a directory in it",
        )
    result = results[fetch.path]
    if result.manifest is None:
        return Collected(source=source, destination=None, problem=result.problem)
    if fetch.path == path:
        return _report(source, destination / fetch.place, result.manifest)
    inner = path.removeprefix(f"{fetch.path}/")
    part = _part(result.manifest, inner)
    if not part.entries:
        return Collected(source=source, destination=None, problem=_missing(path))
    return _report(source, destination / fetch.place / inner, part)


def _fetch_of(path: str, fetches: Sequence[Fetch]) -> Fetch | None:
    for fetch in fetches:
        if fetch.path == path:
            return fetch
    return next((fetch for fetch in fetches if _is_below(path, fetch.path)), None)


def _part(manifest: Manifest, inner: str) -> Manifest:
    """Return what of a manifest is at or below a path; refusals stay with the whole."""
    return Manifest(
        entries=tuple(
            entry
            for entry in manifest.entries
            if entry.path == inner or _is_below(entry.path, inner)
        )
    )


def _report(source: str, destination: Path, manifest: Manifest) -> Collected:
    refused = [str(refusal) for refusal in manifest.refused]
    if manifest.unlisted:
        refused.append(f"… and {manifest.unlisted} more")
    return Collected(
        source=source,
        destination=str(destination),
        files=manifest.files,
        bytes=manifest.bytes,
        refused=tuple(refused),
    )


def _missing(path: str) -> str:
    return f"{path} is not in the container"
