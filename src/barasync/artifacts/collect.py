"""Artifacts of a container: each path streamed from the socket through the safe writer to disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
from anyio import CancelScope, Semaphore, to_thread

from barasync.aiopodman import PodmanError
from barasync.artifacts.budget import Share, Shares
from barasync.artifacts.errors import ArchiveError, BudgetSpent, LimitExceeded
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledgers
from barasync.artifacts.manifest import Manifest, Totals
from barasync.artifacts.mounts import Mounts
from barasync.artifacts.place import Place
from barasync.artifacts.receiver import Archived, Receiver, lost, missing, problem
from barasync.artifacts.resolve import Paths
from barasync.artifacts.sources import Fetch, Source, fetch_of, plan
from barasync.artifacts.tally import Tally
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
    """What came of a fetch: what was written and how much of that is whose, or why nothing was."""

    manifest: Manifest | None = None
    tally: Tally = field(default_factory=Tally)
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
    fetching = _Fetching(parsed, fetches, destination, limits, ledgers)
    with cancellable() as stopped, anyio.move_on_after(limits.seconds):
        try:
            paths = await Paths.of(container, mounts)
        except PodmanError as error:
            fetching.fail(error)
        else:
            mounts = paths.mounts
            await fetching.run(Receiver(container, limits, mounts, CONCURRENT_PATHS), paths)
    late = f"was not whole after {limits.seconds:g} s (`artifacts_timeout`)"
    if stopped.cancelled_caught:
        late = "had not come when the run was stopped"
    results = await to_thread.run_sync(fetching.end, f"{late}; nothing of it was kept")
    arrived = ((fetch.place, results[fetch.path].manifest) for fetch in fetches)
    return Collection(
        directory=destination.path,
        artifacts=_collected(parsed, fetches, results, destination.path, mounts),
        manifests=tuple(
            (place, found) for place, found in arrived if found and found.totals.members
        ),
    )


class _Fetching:
    """The fetches of one collection, and what has come of them.

    What others had used up the limits for is fetched again when they have ended, in the order of
    the sources; and where an earlier one then takes what a later one has, the later one is removed.
    So which of them come does not depend on which was faster.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        fetches: Sequence[Fetch],
        destination: Place,
        limits: Limits,
        ledgers: Ledgers,
    ) -> None:
        self._sources = tuple(sources)
        self._fetches = tuple(fetches)
        self._order = [fetch.path for fetch in fetches]
        self._destination = destination
        self._ledgers = ledgers
        self._shares = Shares(limits)
        self._spent: set[str] = set()
        self._results: dict[str, _Result] = {}

    def fail(self, error: PodmanError) -> None:
        """Take note that nothing can be fetched."""
        for path in self._order:
            self._results[path] = _Result(problem=problem(error, path, self._destination.path))

    async def run(self, receiver: Receiver, paths: Paths) -> None:
        """Fetch all; what is not there when this is cancelled is for `end`."""
        turns = Semaphore(CONCURRENT_PATHS)

        async def in_turn(fetch: Fetch) -> None:
            async with turns:
                await self._fetch(fetch, receiver, paths, self._shares.of(fetch.path))

        async with anyio.create_task_group() as group:
            for fetch in self._fetches:
                group.start_soon(in_turn, fetch)
        for number, fetch in enumerate(self._fetches):
            if fetch.path in self._spent:
                share = self._shares.alone(fetch.path, self._order[:number])
                await self._fetch(fetch, receiver, paths, share)

    def end(self, late: str) -> Mapping[str, _Result]:
        """Return what has come, without what is too much; blocks while that is removed.

        `late` says why something has not come that nothing else is known of.
        """
        excess = self._shares.excess(self._order)
        for fetch in self._fetches:
            path = fetch.path
            result = self._results.setdefault(path, _Result(problem=f"{path} {late}"))
            if result.manifest is not None and path in excess:
                self._results[path] = self._without(fetch, excess[path])
        return self._results

    async def _fetch(self, fetch: Fetch, receiver: Receiver, paths: Paths, share: Share) -> None:
        place = self._destination / fetch.place
        found = path = fetch.path

        parts = [fetch.within(source) for source in self._sources if self._has(fetch, source)]
        tally = Tally(part for part in parts if part is not None)

        def done(manifest: Manifest) -> None:
            self._results[path] = _Result(manifest=manifest, tally=tally)

        try:
            found = await paths.find(path)
            asked = replace(fetch, path=found)
            await receiver.fetch(asked, place, self._ledgers.new(tally), done, share=share)
        except PodmanError as error:
            text = problem(error, path, place.path) + paths.remark(found)
            self._results[path] = _Result(problem=text)
        except (ArchiveError, OSError) as error:
            self._results[path] = _Result(problem=problem(error, path, place.path))
            if isinstance(error, BudgetSpent):
                self._spent.add(path)

    def _has(self, fetch: Fetch, source: Source) -> bool:
        return fetch_of(source, self._fetches) is fetch

    def _without(self, fetch: Fetch, excess: LimitExceeded) -> _Result:
        """Remove what came of a fetch that is too much."""
        place = self._destination / fetch.place
        try:
            place.remove()
        except OSError as error:
            return _Result(problem=f"{place.path} is too much and stays: {error.strerror}")
        return _Result(problem=problem(excess, fetch.path, place.path))


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
        result = results[fetch.path]
        manifest = result.manifest
        if manifest is None:
            problem = result.problem
            collected.append(Collected(source=source.text, destination=None, problem=problem))
            continue
        first = fetch.path not in told
        told.add(fetch.path)
        left_out = _left_out(manifest) if first else ()
        pattern = fetch.within(source)
        part = manifest.totals if pattern is None else result.tally.of(pattern)
        report = _report(source, fetch, part, destination, left_out)
        if first and manifest.lost and report.problem is None:
            report = replace(report, problem=lost(manifest.lost))
        place = mounts.between(fetch.path, source.path)
        if report.destination is None and place is not None:
            problem = f"{place} is mounted apart from {fetch.path}, so it does not come with that"
            report = replace(report, problem=f"{problem}; name either of them")
        collected.append(report)
    return tuple(collected)


def _report(
    source: Source, fetch: Fetch, part: Totals, destination: Path, left_out: tuple[str, ...]
) -> Collected:
    """Report on a source of which an archive has come that has so much of it."""
    if not part.members:
        return Collected(
            source=source.text,
            destination=None,
            refused=left_out,
            problem=missing(source.path) if source.pattern is None else _matchless(source),
        )
    inner = source.path.removeprefix(fetch.path).lstrip("/")
    return Collected(
        source=source.text,
        destination=str(destination / fetch.place / inner),
        files=part.files,
        bytes=part.bytes,
        refused=left_out,
    )


def _left_out(manifest: Manifest) -> tuple[str, ...]:
    refused = [str(refusal) for refusal in manifest.refused]
    if manifest.unlisted:
        refused.append(f"… and {manifest.unlisted} more")
    return tuple(refused)


def _matchless(source: Source) -> str:
    return f"nothing below {source.path} matches the pattern {source.text}"
