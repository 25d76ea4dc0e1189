"""The result of a run as one document: a pure reduction of its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from barasync.events import (
    AnyEvent,
    AttemptEnded,
    CellLeaked,
    CellRetried,
    CellStarted,
    ContainerStarted,
    ImageResolved,
    PlannedCell,
    RunFinished,
    RunStarted,
)
from barasync.matrix.outcome import Collected, Outcome, OutputCounts, Snapshot, Status, Usage
from barasync.networks.asked import RefusedName
from barasync.networks.refused import Refusal
from barasync.report import jsonl
from barasync.report.files import OUTPUT_LOG, STDERR_LOG, STDOUT_LOG, cell_logs, written_whole

SCHEMA_VERSION = 1


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    """Where the output of a cell's last attempt lies, relative to the run's directory."""

    stdout: str
    stderr: str
    output: str


class AttemptResult(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that was followed by another one, and its verdict."""

    attempt: int
    status: Status
    exit_code: int | None
    reason: str
    seconds: float
    phases: Mapping[str, float]
    usage: Usage
    output: OutputCounts
    logs: Logs


class CellResult(msgspec.Struct, frozen=True, kw_only=True):
    """A cell and its verdict.

    `status` is `None` for a cell without a verdict: the record ends before. `attempt` is the last
    attempt, 0 when the cell never started, and then `logs` is `None` too. `image` is what was asked
    for, `base_id`, `digest`, `list_digest` and `digests` are what that was then
    (`events.ImageResolved`), and `image_id` is what the container was made from, with a layer of
    the project's files if it has one. `phases` maps a phase to its seconds.
    `retried` are the attempts before the last one, and `flaky` says that the last one passed where
    they did not. `manifest` is the list of all files in `artifacts` (`report.manifests`), relative
    to the run's directory. `ports` are where those of the container were published on the host
    (`events.ContainerStarted`), `refused` is what its network did not let out, `refused_packets`
    how many packets in all, `refused_names` are the names that it did not let the cell know, and
    `refused_note` is what is told of the packets (`Outcome`). `detached` is the name of its
    container where that goes on by itself. `rule` is its own, where the run has several, and
    `repetition` its number, where it is one of several that are the same.
    """

    id: str
    platform: str
    config: str | None
    image: str
    status: Status | None = None
    exit_code: int | None = None
    reason: str = ""
    hint: str | None = None
    warnings: tuple[str, ...] = ()
    attempt: int = 0
    seconds: float | None = None
    base_id: str | None = None
    digest: str = ""
    list_digest: str = ""
    digests: tuple[str, ...] = ()
    image_id: str | None = None
    container_id: str | None = None
    phases: Mapping[str, float] = {}
    usage: Usage = Usage()
    output: OutputCounts = OutputCounts()
    logs: Logs | None = None
    artifacts: tuple[Collected, ...] = ()
    manifest: str | None = None
    snapshot: Snapshot | None = None
    ports: Mapping[str, tuple[str, ...]] = {}
    refused: tuple[Refusal, ...] = ()
    refused_names: tuple[RefusedName, ...] = ()
    refused_packets: int = 0
    refused_note: str = ""
    detached: str | None = None
    flaky: bool = False
    rule: str | None = None
    repetition: int | None = None
    retried: tuple[AttemptResult, ...] = ()


class ResultDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: what `result.json` holds.

    `schema` changes when a field changes its meaning or goes away, not when one is added. Cells are
    in the order of the plan. `finished`, `seconds` and `exit_code` are `None` when the record ends
    before the run did. `directory` is where the record lay when the run began.
    """

    schema: int
    run: str
    project: str
    rule: str
    directory: str
    barasync: str
    podman: str
    endpoint: str
    started: datetime
    finished: datetime | None
    seconds: float | None
    exit_code: int | None
    problem: str | None
    counts: Mapping[str, int]
    cells: tuple[CellResult, ...]


def reduce_events(events: Iterable[AnyEvent]) -> ResultDocument:
    """Reduce the events of one run to its result; the same events give the same document.

    Raises:
        ValueError: the events do not tell of a run: `run.started` is missing.
    """
    started: RunStarted | None = None
    finished: RunFinished | None = None
    cells: dict[str, CellResult] = {}
    images: dict[tuple[str, str], ImageResolved] = {}
    for event in events:
        match event:
            case RunStarted():
                started = event
                cells = {cell.id: _planned(cell) for cell in event.cells}
            case RunFinished():
                finished = event
            case ImageResolved():
                images[event.image, event.platform] = event
            case CellStarted() | ContainerStarted() | AttemptEnded() | CellLeaked():
                if event.cell in cells:
                    cells[event.cell] = _advance(cells[event.cell], event)
            case _:
                pass
    if started is None:
        raise ValueError("these events do not tell of a run: `run.started` is missing")
    return _document(started, finished, tuple(_with_image(each, images) for each in cells.values()))


def write_result(path: Path, document: ResultDocument) -> None:
    """Write a document as indented JSON, in one step: readers see all of it or none; blocking.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    text = msgspec.json.format(jsonl.encode(document), indent=2) + b"\n"
    with written_whole(path) as file:
        file.write(text)


def _planned(cell: PlannedCell) -> CellResult:
    return CellResult(
        id=cell.id,
        platform=cell.platform,
        config=cell.config,
        image=cell.image,
        rule=cell.rule,
        repetition=cell.repetition,
    )


def _with_image(cell: CellResult, images: Mapping[tuple[str, str], ImageResolved]) -> CellResult:
    found = images.get((cell.image, cell.platform))
    if found is None:
        return cell
    return msgspec.structs.replace(
        cell,
        base_id=found.id,
        digest=found.digest,
        list_digest=found.list_digest,
        digests=found.digests,
    )


def _advance(
    cell: CellResult, event: CellStarted | ContainerStarted | AttemptEnded | CellLeaked
) -> CellResult:
    """Return a cell as it is after an event; of an earlier attempt only its verdict is kept."""
    match event:
        case CellStarted():
            return msgspec.structs.replace(
                CellResult(
                    id=cell.id,
                    platform=cell.platform,
                    config=cell.config,
                    image=cell.image,
                    rule=cell.rule,
                    repetition=cell.repetition,
                ),
                retried=cell.retried,
                attempt=event.attempt,
                logs=_logs(event.cell, event.attempt),
            )
        case ContainerStarted():
            return msgspec.structs.replace(
                cell, image_id=event.image, container_id=event.container, ports=event.ports
            )
        case CellRetried():
            return msgspec.structs.replace(cell, retried=(*cell.retried, _retried(event)))
        case AttemptEnded():
            return _concluded(cell, event.outcome, event.seconds)
        case CellLeaked():
            return _concluded(cell, event.outcome, cell.seconds)


def _retried(event: CellRetried) -> AttemptResult:
    return AttemptResult(
        attempt=event.attempt,
        status=event.outcome.status,
        exit_code=event.outcome.exit_code,
        reason=event.outcome.reason,
        seconds=event.seconds,
        phases=dict(event.outcome.phases),
        usage=event.outcome.usage,
        output=event.outcome.output,
        logs=_logs(event.cell, event.attempt),
    )


def _concluded(cell: CellResult, outcome: Outcome, seconds: float | None) -> CellResult:
    return msgspec.structs.replace(
        cell,
        status=outcome.status,
        exit_code=outcome.exit_code,
        reason=outcome.reason,
        hint=outcome.hint,
        seconds=seconds,
        container_id=outcome.container_id or cell.container_id,
        phases=dict(outcome.phases),
        usage=outcome.usage,
        output=outcome.output,
        artifacts=outcome.artifacts,
        manifest=outcome.manifest,
        snapshot=outcome.snapshot,
        refused=outcome.refused,
        refused_names=outcome.refused_names,
        refused_packets=outcome.refused_packets,
        refused_note=outcome.refused_note,
        detached=outcome.detached,
        warnings=outcome.warnings,
        flaky=outcome.flaky,
        # The last of them was to be followed by another one, and the run ended before.
        retried=tuple(one for one in cell.retried if one.attempt != cell.attempt),
    )


def _logs(cell: str, attempt: int) -> Logs:
    directory = cell_logs(cell, attempt)
    return Logs(
        stdout=str(directory / STDOUT_LOG),
        stderr=str(directory / STDERR_LOG),
        output=str(directory / OUTPUT_LOG),
    )


def _document(
    started: RunStarted, finished: RunFinished | None, cells: tuple[CellResult, ...]
) -> ResultDocument:
    counts: dict[str, int] = {}
    for cell in cells:
        if cell.status is not None:
            counts[cell.status.value] = counts.get(cell.status.value, 0) + 1
    return ResultDocument(
        schema=SCHEMA_VERSION,
        run=started.run,
        project=started.project,
        rule=started.rule,
        directory=started.directory,
        barasync=started.barasync,
        podman=started.podman,
        endpoint=started.endpoint,
        started=datetime.fromtimestamp(started.at, UTC),
        finished=None if finished is None else datetime.fromtimestamp(finished.at, UTC),
        seconds=None if finished is None else finished.seconds,
        exit_code=None if finished is None else finished.exit_code,
        problem=None if finished is None else finished.problem,
        counts=counts,
        cells=cells,
    )
