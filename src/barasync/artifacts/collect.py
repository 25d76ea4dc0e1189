"""Artifacts of a container: each path streamed from the socket through the safe writer to disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import anyio
from anyio import CapacityLimiter, Semaphore, to_thread

from barasync.aiopodman import NotFound, PodmanError, StreamTruncated
from barasync.artifacts.budget import Budget, Share
from barasync.artifacts.errors import ArchiveError, OriginalsLeftOut, TruncatedArchive
from barasync.artifacts.extract import Limits, extract
from barasync.artifacts.manifest import Manifest, Refusal
from barasync.artifacts.mounts import Mounts
from barasync.artifacts.pipe import Pipe, PipeAborted
from barasync.artifacts.selection import Selection
from barasync.artifacts.sources import Fetch, Source, fetch_of, plan
from barasync.matrix.outcome import Collected

CONCURRENT_PATHS = 4
_NO_MOUNTS = Mounts()
_APART = "something is mounted there; what it holds comes when it is named itself"


class Archived(Protocol):
    """What `collect` needs of a container: `aiopodman.Container` is one."""

    def archive(self, path: str, /) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Yield a tar archive of a file or directory, in pieces as they come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What came of the artifacts of a container.

    `artifacts` has one report per source, in their order. `manifests` has what was put in place,
    with its path relative to `directory`.
    """

    directory: Path
    artifacts: tuple[Collected, ...] = ()
    manifests: tuple[tuple[str, Manifest], ...] = ()


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
    mounts: Mounts = _NO_MOUNTS,
) -> Collection:
    """Fetch files and directories of a container.

    A source is a path or a pattern (`artifacts.pattern`), absolute or relative to `workspace`. It
    arrives below `destination`, where `sources.plan` says, whole or not at all, in place of what an
    earlier collection left there. `limits` hold for all sources together. The directories down to
    the destination are made.

    What lies in one of `mounts` comes with a source at or below its place, not with one above.
    Where its files are lost, that is the problem of the source.

    Whatever goes wrong with a source is its `problem` (missing in the container, matched by
    nothing, cut off by podman, refused by `extract`, no space here, not whole in time) and does not
    disturb the others. When cancelled, the sources that were complete stay, and nothing is left of
    the others.

    Source: `GET /libpod/containers/{id}/archive`.
    """
    parsed = [Source.parse(source, workspace) for source in sources]
    fetches = plan(parsed)
    results: dict[str, _Result] = {}
    turns = Semaphore(CONCURRENT_PATHS)
    receiver = _Receiver(container, limits, mounts)

    async def run(fetch: Fetch) -> None:
        if (loss := mounts.loss(fetch.path)) is not None:
            results[fetch.path] = _Result(problem=f"{fetch.path} {loss}")
            return
        place = destination / fetch.place

        def done(manifest: Manifest) -> None:
            results[fetch.path] = _Result(manifest=manifest)

        async with turns:
            try:
                await receiver.fetch(fetch, place, done)
            except (PodmanError, ArchiveError, OSError) as error:
                results[fetch.path] = _Result(problem=_problem(error, fetch.path, place))

    with anyio.move_on_after(limits.seconds):
        async with anyio.create_task_group() as group:
            for fetch in fetches:
                group.start_soon(run, fetch)
    late = f"was not whole after {limits.seconds:g} s (`artifacts_timeout`); nothing of it was kept"
    for fetch in fetches:
        results.setdefault(fetch.path, _Result(problem=f"{fetch.path} {late}"))
    arrived = ((fetch.place, results[fetch.path].manifest) for fetch in fetches)
    return Collection(
        directory=destination,
        artifacts=_collected(parsed, fetches, results, destination, mounts),
        manifests=tuple((place, found) for place, found in arrived if found and found.entries),
    )


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
    """Writes the archives of one container, each in a thread, within limits that they share."""

    def __init__(self, container: Archived, limits: Limits, mounts: Mounts) -> None:
        self._container = container
        self._limits = limits
        self._mounts = mounts
        self._budget = Budget(limits)
        self._threads = CapacityLimiter(CONCURRENT_PATHS)

    async def fetch(
        self, fetch: Fetch, destination: Path, done: Callable[[Manifest], None]
    ) -> None:
        """Fetch an archive; `done` hears of what is in place.

        Raises:
            ArchiveError, OSError: as `extract`.
            PodmanError: the archive could not be had, or broke off.
        """
        reached = {path: fetch.reaches(path) for path in self._mounts.inside(fetch.path)}
        excluded = {path: pattern for path, pattern in reached.items() if pattern is not None}
        if not fetch.patterns and not excluded:
            await self._receive(fetch.path, destination, None, done)
            return
        selection = Selection(patterns=fetch.patterns, excluded=tuple(excluded.values()))

        def told(manifest: Manifest) -> None:
            apart = tuple(Refusal(path=path, reason=_APART) for path in excluded)
            done(replace(manifest, refused=(*apart, *manifest.refused)))

        try:
            await self._receive(fetch.path, destination, selection, told)
        except OriginalsLeftOut as error:
            selection = selection.with_originals(error.paths)
        else:
            return
        await self._receive(fetch.path, destination, selection, told)

    async def _receive(
        self,
        path: str,
        destination: Path,
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
            extraction = partial(self._write, pipe, destination, selection)
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
                except PodmanError as error:
                    errors.append(error)
                finally:
                    pipe.abort()
            if errors:
                raise errors[0]  # the first to happen is the reason of the other

    def _write(self, pipe: Pipe, destination: Path, selection: Selection | None) -> Manifest:
        """Extract what comes through the pipe; runs in a worker thread."""
        destination.parent.mkdir(parents=True, exist_ok=True)
        with pipe.reading() as read:
            return extract(
                read,
                destination,
                self._limits,
                share=Share(self._budget),
                selection=selection,
                rooted=True,
                replace=True,
            )


def _collected(
    sources: Sequence[Source],
    fetches: Sequence[Fetch],
    results: Mapping[str, _Result],
    destination: Path,
    mounts: Mounts,
) -> tuple[Collected, ...]:
    """Report on each source; what was left out of an archive is said once."""
    told: set[str] = set()
    collected = []
    for source in sources:
        fetch = fetch_of(source, fetches)
        if fetch is None:
            problem = "a whole file system is not an artifact; name a directory in it"
            collected.append(Collected(source=source.text, destination=None, problem=problem))
            continue
        manifest = results[fetch.path].manifest
        if manifest is None:
            problem = results[fetch.path].problem
            collected.append(Collected(source=source.text, destination=None, problem=problem))
            continue
        left_out = () if fetch.path in told else _left_out(manifest)
        told.add(fetch.path)
        report = _report(source, fetch, manifest, destination, left_out)
        place = mounts.between(fetch.path, source.path)
        if report.destination is None and place is not None:
            problem = f"{place} is mounted apart from {fetch.path}, so it does not come with that"
            report = replace(report, problem=f"{problem}; name either of them")
        collected.append(report)
    return tuple(collected)


def _report(
    source: Source, fetch: Fetch, manifest: Manifest, destination: Path, left_out: tuple[str, ...]
) -> Collected:
    """Report on a source of which an archive has come, whose part it may be."""
    inner = source.path.removeprefix(fetch.path).lstrip("/")
    part = manifest
    if source.pattern is not None or fetch.patterns or inner:
        part = _part(manifest, fetch, source)
        if not part.entries:
            return Collected(
                source=source.text,
                destination=None,
                refused=left_out,
                problem=_missing(source.path) if source.pattern is None else _matchless(source),
            )
    return Collected(
        source=source.text,
        destination=str(destination / fetch.place / inner),
        files=part.files,
        bytes=part.bytes,
        refused=left_out,
    )


def _part(manifest: Manifest, fetch: Fetch, source: Source) -> Manifest:
    """Return what of a manifest a source means."""
    pattern = fetch.within(source)
    return Manifest(
        entries=tuple(
            entry
            for entry in manifest.entries
            if entry.path and pattern.matches(entry.path.split("/"))
        )
    )


def _left_out(manifest: Manifest) -> tuple[str, ...]:
    refused = [str(refusal) for refusal in manifest.refused]
    if manifest.unlisted:
        refused.append(f"… and {manifest.unlisted} more")
    return tuple(refused)


def _missing(path: str) -> str:
    return f"{path} is not in the container"


def _matchless(source: Source) -> str:
    return f"nothing below {source.path} matches the pattern {source.text}"
