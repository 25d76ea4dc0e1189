"""Artifacts of a container: each path streamed from the socket through the safe writer to disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
from anyio import CancelScope, Semaphore, to_thread

from barasync.aiopodman import PodmanError
from barasync.artifacts.errors import ArchiveError
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledgers
from barasync.artifacts.manifest import Manifest, Totals
from barasync.artifacts.mounts import Mounts
from barasync.artifacts.place import Place
from barasync.artifacts.receiver import Archived, Receiver, missing, problem
from barasync.artifacts.resolve import Paths
from barasync.artifacts.sources import Fetch, Source, fetch_of, plan
from barasync.matrix.outcome import Collected

CONCURRENT_PATHS = 4
_NO_MOUNTS = Mounts()


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
    destination: Place,
    limits: Limits,
    ledgers: Ledgers,
    *,
    workspace: str = "/workspace",
    mounts: Mounts = _NO_MOUNTS,
    cancellable: Callable[[], AbstractContextManager[CancelScope]] = CancelScope,
) -> Collection:
    """Fetch files and directories of a container.

    A source is a path or a pattern (`artifacts.pattern`), absolute or relative to `workspace`. It
    arrives below `destination`, where `sources.plan` says, whole or not at all, in place of what an
    earlier collection left there. `limits` hold for all sources together. The directories down to
    the destination are made.

    What lies in one of `mounts` comes with a source at or below its place, links followed, not with
    one above. Where its files are lost, that is the problem of the source.

    Whatever goes wrong with a source is its `problem` (missing in the container, matched by
    nothing, cut off by podman, refused by `extract`, no space here, not whole in time) and does not
    disturb the others. The manifests can be read while `ledgers` are open. The scope that
    `cancellable` opens can be cancelled: what has not come by then is a problem too. When this is
    cancelled itself, the sources that were complete stay, and nothing is left of the others.

    Source: `HEAD` and `GET /libpod/containers/{id}/archive`.
    """
    parsed = [Source.parse(source, workspace) for source in sources]
    fetches = plan(parsed)
    results: dict[str, _Result] = {}
    turns = Semaphore(CONCURRENT_PATHS)

    async def run(fetch: Fetch, paths: Paths, receiver: Receiver) -> None:
        place = destination / fetch.place

        def done(manifest: Manifest) -> None:
            results[fetch.path] = _Result(manifest=manifest)

        async with turns:
            found = fetch.path
            try:
                found = await paths.find(found)
                await receiver.fetch(replace(fetch, path=found), place, ledgers.new(), done)
            except PodmanError as error:
                text = problem(error, fetch.path, place.path) + paths.remark(found)
                results[fetch.path] = _Result(problem=text)
            except (ArchiveError, OSError) as error:
                results[fetch.path] = _Result(problem=problem(error, fetch.path, place.path))

    with cancellable() as stopped, anyio.move_on_after(limits.seconds):
        try:
            paths = await Paths.of(container, mounts)
        except PodmanError as error:
            why = {fetch.path: problem(error, fetch.path, destination.path) for fetch in fetches}
            results = {path: _Result(problem=text) for path, text in why.items()}
        else:
            mounts = paths.mounts
            receiver = Receiver(container, limits, mounts, CONCURRENT_PATHS)
            async with anyio.create_task_group() as group:
                for fetch in fetches:
                    group.start_soon(run, fetch, paths, receiver)
    late = f"was not whole after {limits.seconds:g} s (`artifacts_timeout`)"
    if stopped.cancelled_caught:
        late = "had not come when the run was stopped"
    for fetch in fetches:
        results.setdefault(
            fetch.path, _Result(problem=f"{fetch.path} {late}; nothing of it was kept")
        )
    arrived = ((fetch.place, results[fetch.path].manifest) for fetch in fetches)
    # In a thread: an archive may have half a million members to be looked at.
    report = partial(_collected, parsed, fetches, results, destination.path, mounts)
    return Collection(
        directory=destination.path,
        artifacts=await to_thread.run_sync(report),
        manifests=tuple(
            (place, found) for place, found in arrived if found and found.totals.members
        ),
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
    part = manifest.totals
    if source.pattern is not None or fetch.patterns or inner:
        part = _part(manifest, fetch, source)
        if not part.members:
            return Collected(
                source=source.text,
                destination=None,
                refused=left_out,
                problem=missing(source.path) if source.pattern is None else _matchless(source),
            )
    return Collected(
        source=source.text,
        destination=str(destination / fetch.place / inner),
        files=part.files,
        bytes=part.bytes,
        refused=left_out,
    )


def _part(manifest: Manifest, fetch: Fetch, source: Source) -> Totals:
    """Add up what of a manifest a source means."""
    pattern = fetch.within(source)
    return Totals.of(
        entry for entry in manifest.entries if entry.path and pattern.matches(entry.path.split("/"))
    )


def _left_out(manifest: Manifest) -> tuple[str, ...]:
    refused = [str(refusal) for refusal in manifest.refused]
    if manifest.unlisted:
        refused.append(f"… and {manifest.unlisted} more")
    return tuple(refused)


def _matchless(source: Source) -> str:
    return f"nothing below {source.path} matches the pattern {source.text}"
