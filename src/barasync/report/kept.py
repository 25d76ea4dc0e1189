"""The record of a failed cell, looked up for whoever wants to get into what was kept of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError
from barasync.matrix.kept import KeptSettings
from barasync.matrix.outcome import Snapshot, Status
from barasync.matrix.platforms import Platform, parse
from barasync.report.files import LATEST, RunDirectory
from barasync.report.jsonl import read_events
from barasync.report.result import reduce_events

LAST = "last"
"""Stands for the last run of which something was kept."""

_MOST_NAMED = 5
_AGAIN = "run it again with --keep-failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCell:
    """A failed cell of which an image is kept.

    `run` is the whole ID of its run. `image` is the ID of the kept image, and `name` what it was
    called; `asked` is the image that the cell was to have. With `settings` and `image`, a container
    is as the cell's was, whatever the project says by now.
    """

    run: str
    cell: str
    platform: Platform
    config: str | None
    status: Status
    image: str
    name: str
    asked: str
    settings: KeptSettings
    rule: str | None = None
    repetition: int | None = None

    def __str__(self) -> str:
        return f"cell {self.cell} of run {self.run}"


class _Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a cell in a result; other versions may know more."""

    id: str
    platform: str
    config: str | None = None
    image: str = ""
    status: Status | None = None
    snapshot: Snapshot | None = None
    rule: str | None = None
    repetition: int | None = None

    @property
    def kept(self) -> Snapshot | None:
        """The image that is kept of it because it failed, or that was asked for anyway."""
        failed = self.status not in {Status.PASSED, None}
        snapshot = self.snapshot
        if snapshot is None or snapshot.image is None or snapshot.settings is None:
            return None
        return snapshot if failed else None


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    cells: tuple[_Cell, ...]


class _Event(msgspec.Struct, frozen=True):
    """What every event has: when it was, in seconds since 1970."""

    at: float


_BEGINNING: msgspec.json.Decoder[_Event] = msgspec.json.Decoder(_Event)
_DECODER: msgspec.json.Decoder[_Result] = msgspec.json.Decoder(_Result)


def find_kept(runs: Path, run: str, cell: str) -> KeptCell:
    """Find what is kept of a cell; blocking.

    `runs` is the directory of the project's runs (`report.files.runs_directory`). `run` is the ID
    of a run, the beginning of one that no other has, or `last`: the last one of which anything was
    kept. Whether the image is still there only the podman service knows (`images.kept`).

    Raises:
        ConfigError: there is no such run or cell, with the nearest names; or nothing is kept of the
            cell, with the reason; or the record cannot be read.
    """
    ids = _ids(runs)
    found = _last(runs, ids) if run == LAST else _named(runs, ids, run)
    return _kept_of(found, _cells(runs, found), cell)


def _ids(runs: Path) -> list[str]:
    """Return the IDs of all runs."""
    try:
        ids = [each.name for each in runs.iterdir() if each.name[:1] not in {".", ""}]
    except FileNotFoundError:
        ids = []
    except OSError as error:
        raise ConfigError(f"cannot read the record of runs {runs}: {error.strerror}") from error
    ids = [each for each in ids if each != LATEST]
    if not ids:
        raise ConfigError(
            f"there is no run in {runs}", hint="change into the project that the run was of"
        )
    return ids


def _newest_first(runs: Path, ids: Iterable[str]) -> list[str]:
    """Order runs by when they began: the time in an ID is that of a clock that is set back."""
    return sorted(ids, key=lambda each: (_began(RunDirectory(runs / each)), each), reverse=True)


def _began(directory: RunDirectory) -> float:
    """Return when a run began, in seconds since 1970: 0 where its record does not tell."""
    try:
        with directory.events.open("rb") as events:
            return _BEGINNING.decode(events.readline()).at
    except (OSError, msgspec.DecodeError):
        return 0.0


def _named(runs: Path, ids: Sequence[str], run: str) -> str:
    if run in ids:
        return run
    found = [each for each in ids if run and each.startswith(run)]
    if len(found) == 1:
        return found[0]
    newest = ", ".join(_newest_first(runs, found or ids)[:_MOST_NAMED])
    if found:
        raise ConfigError(
            f"{run} is the beginning of the IDs of {len(found)} runs", hint=f"the last: {newest}"
        )
    raise ConfigError(
        f"there is no run {run!r} in {runs}{did_you_mean(run, [*sorted(ids), LAST])}",
        hint=f"the last: {newest}; `{LAST}` is the last of which something was kept",
    )


def _last(runs: Path, ids: Sequence[str]) -> str:
    for each in _newest_first(runs, ids):
        try:
            cells = _cells(runs, each)
        except ConfigError:
            continue  # it never began, or is of no run
        if any(cell.kept for cell in cells):
            return each
    raise ConfigError(f"nothing was kept of any run in {runs}", hint=_AGAIN)


def _cells(runs: Path, run: str) -> tuple[_Cell, ...]:
    """Return the cells of a run; of one that goes on, or was killed, as far as it came."""
    directory = RunDirectory(runs / run)
    try:
        return _DECODER.decode(directory.result.read_bytes()).cells
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(f"cannot read {directory.result}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{directory.result} is no result of a run: {error}") from error
    try:
        document = reduce_events(read_events(directory.events))
    except ValueError as error:
        raise ConfigError(f"{directory.events}: {error}") from error
    return tuple(
        _Cell(
            id=each.id,
            platform=each.platform,
            config=each.config,
            image=each.image,
            status=each.status,
            snapshot=each.snapshot,
            rule=each.rule,
            repetition=each.repetition,
        )
        for each in document.cells
    )


def _kept_of(run: str, cells: Sequence[_Cell], name: str) -> KeptCell:
    by_id = {each.id: each for each in cells}
    kept_ones = [each.id for each in cells if each.kept]
    if name not in by_id:
        raise ConfigError(
            f"run {run} had no cell {name!r}{did_you_mean(name, kept_ones or by_id)}",
            hint=_hint(kept_ones),
        )
    cell = by_id[name]
    kept = cell.kept
    if kept is None or kept.image is None or kept.settings is None or cell.status is None:
        raise ConfigError(_without(run, cell), hint=_hint(kept_ones))
    return KeptCell(
        run=run,
        cell=cell.id,
        platform=parse(cell.platform),
        config=cell.config,
        status=cell.status,
        image=kept.image,
        name=kept.name,
        asked=cell.image,
        settings=kept.settings,
        rule=cell.rule,
        repetition=cell.repetition,
    )


def _hint(kept: Sequence[str]) -> str:
    if not kept:
        return _AGAIN
    more = f" and {len(kept) - _MOST_NAMED} more" if len(kept) > _MOST_NAMED else ""
    return f"it has kept {', '.join(kept[:_MOST_NAMED])}{more}"


def _without(run: str, cell: _Cell) -> str:
    """Say why nothing is kept of a cell."""
    where = f"cell {cell.id} of run {run}"
    if cell.status is None:
        return f"{where} has no verdict: it has not ended yet, or the run was killed"
    if cell.status is Status.PASSED:
        return f"{where} passed: nothing is kept of it"
    if cell.status is Status.CANCELLED:
        return f"{where} was cancelled: nothing is kept of it"
    if cell.snapshot is not None and cell.snapshot.problem is not None:
        return f"{where} was not kept: {cell.snapshot.problem}"
    return f"{where} was not kept"
