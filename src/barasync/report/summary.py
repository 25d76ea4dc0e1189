"""The summary at the end of a run: a pure function of its result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from barasync.matrix.outcome import Snapshot, Status
from barasync.report.refusals import refused_names_line
from barasync.report.result import CellResult, ResultDocument
from barasync.report.terminal import Style
from barasync.report.words import (
    count,
    duration,
    published,
    size,
    tally,
    verdict,
    verdict_colour,
)
from barasync.terminal_text import neutralise, one_line

TAIL_LINES = 10
_LINE_LENGTH = 400
_BOLD, _DIM, _RED, _GREEN, _YELLOW = "1", "2", "31", "32", "33"
_HEADING = ("CELL", "PLATFORM", "RESULT", "TIME", "MEMORY", "REASON")
_VERDICT = 2
_ALWAYS = frozenset({0, 1, _VERDICT})
_MOST_SNAPSHOTS = 8
_MOST_PORTS = 8


def summarise(
    document: ResultDocument,
    *,
    record: str,
    artifacts: str,
    tails: Mapping[str, Sequence[str]],
    style: Style,
    problems: Sequence[str] = (),
) -> list[str]:
    """Return the lines of the summary.

    First come the cells that did not pass, with the last lines of their output and the next step,
    then a table of all cells, then where things lie, then one line of counts.

    `record` and `artifacts` are the run's directories as a person would type them here; `tails`
    maps a cell to the last lines of its output, ten of which are shown; `problems` are sentences
    about what could not be recorded.
    """
    return [
        *_failures(document, tails, style),
        *_table(document.cells, style),
        "",
        *_places(document, record, artifacts),
        *_remarks(document, problems, style),
        _conclusion(document, style),
    ]


def way_into(run: str, cell: str, snapshot: Snapshot | None) -> str | None:
    """Return the command that gets a person into what is kept of a failed cell, if anything is."""
    if snapshot is None or snapshot.image is None or not snapshot.kept:
        return None
    return f"barasync shell --from-failed {run} {cell}"


def needs_tail(cell: CellResult) -> bool:
    """Whether the end of a cell's output is worth reading: it ran and did not pass."""
    return cell.logs is not None and cell.status not in {Status.PASSED, Status.CANCELLED, None}


def _failures(
    document: ResultDocument, tails: Mapping[str, Sequence[str]], style: Style
) -> Iterator[str]:
    for cell in document.cells:
        tail = tails.get(cell.id, ()) if needs_tail(cell) else ()
        way_in = way_into(document.run, cell.id, cell.snapshot)
        if not tail and way_in is None and (cell.hint is None or cell.status is Status.PASSED):
            continue
        heading = f"{_sign(cell, style)}{cell.id}: {verdict(cell.status)}"
        reason = _reason(cell)
        yield style.paint(f"{heading}: {reason}" if reason else heading, _colour(cell))
        bar = style.paint("│" if style.unicode else "|", _DIM)
        for line in tail[-TAIL_LINES:]:
            yield f"  {bar} {_shortened(line, style)}"
        if cell.hint is not None:
            yield f"  hint: {one_line(cell.hint)}"
        if way_in is not None:
            yield f"  kept: {way_in}"
        yield ""


def _table(cells: Sequence[CellResult], style: Style) -> Iterator[str]:
    """Lay the cells out in columns, without those that are empty; the last may be of any width."""
    rows = [_row(cell, style) for cell in cells]
    kept = [
        place
        for place in range(len(_HEADING))
        if place in _ALWAYS or any(row[place] for row in rows)
    ]
    widths = [max(len(row[place]) for row in (_HEADING, *rows)) for place in kept]
    heading = [_HEADING[place].ljust(width) for place, width in zip(kept, widths, strict=True)]
    yield style.paint("  ".join(heading).rstrip(), _BOLD)
    for cell, row in zip(cells, rows, strict=True):
        columns = [row[place].ljust(width) for place, width in zip(kept, widths, strict=True)]
        columns[_VERDICT] = style.paint(columns[_VERDICT], _colour(cell))
        yield "  ".join(columns).rstrip()


def _row(cell: CellResult, style: Style) -> tuple[str, ...]:
    peak = cell.usage.peak_memory_bytes
    # A sampled figure may have missed the peak.
    about = "" if cell.usage.exact else "~"
    return (
        _sign(cell, style) + cell.id,
        cell.platform,
        f"{verdict(cell.status)}, flaky" if cell.flaky else verdict(cell.status),
        duration(cell.seconds) if cell.attempt and cell.seconds is not None else "",
        "" if peak is None else f"{about}{size(peak)}",
        _reason(cell),
    )


def _places(document: ResultDocument, record: str, artifacts: str) -> Iterator[str]:
    if any(cell.logs is not None for cell in document.cells):
        yield f"logs       {record}/cells/<cell>/output.log"
    # Whoever waited for services has them.
    if any("services" in cell.phases for cell in document.cells):
        yield f"services   {record}/cells/<cell>/services/<name>.log"
    fetched = [
        item for cell in document.cells for item in cell.artifacts if item.destination is not None
    ]
    if fetched:
        files = count(sum(item.files for item in fetched), "file")
        total = size(sum(item.bytes for item in fetched))
        yield f"artifacts  {artifacts}/<cell>/ ({files}, {total})"
    yield from _snapshots(document.cells)
    yield from _ports(document.cells)


def _snapshots(cells: Sequence[CellResult]) -> Iterator[str]:
    taken = [
        (cell, cell.snapshot)
        for cell in cells
        if cell.snapshot and cell.snapshot.image and not cell.snapshot.kept
    ]
    for cell, snapshot in taken[:_MOST_SNAPSHOTS]:
        yield f"snapshot   {snapshot.name} ({cell.id}, {size(snapshot.bytes)})"
    if len(taken) > _MOST_SNAPSHOTS:
        yield f"snapshot   {len(taken) - _MOST_SNAPSHOTS} more: `barasync image list`"


def _ports(cells: Sequence[CellResult]) -> Iterator[str]:
    """Say where ports were, for whoever looks for what used them."""
    open_then = [cell for cell in cells if cell.ports]
    for cell in open_then[:_MOST_PORTS]:
        yield f"ports      {cell.id}: {published(cell.ports)}"
    if len(open_then) > _MOST_PORTS:
        yield f"ports      of {count(len(open_then) - _MOST_PORTS, 'more cell')}: result.json"


def _remarks(document: ResultDocument, problems: Sequence[str], style: Style) -> Iterator[str]:
    """Say what the verdicts do not tell."""
    remarks: list[str] = [*_warnings(document.cells), *_without_snapshots(document.cells)]
    remarks += _refused(document.cells)
    for cell in document.cells:
        refused = [member for item in cell.artifacts for member in item.refused]
        if refused:
            members = count(len(refused), "archive member")
            remarks.append(f"{cell.id}: {members} left out: {refused[0]}")
        if cell.flaky:
            first = cell.retried[0]
            why = one_line(first.reason) or verdict(first.status)
            remarks.append(
                f"{cell.id}: flaky, it passed at attempt {cell.attempt}; the first: {why}"
            )
        if cell.logs is not None and not cell.output.complete:
            remarks.append(f"{cell.id}: its output is incomplete")
    remarks += problems
    # What ended the run is most often what became of a cell.
    reasons = {cell.reason for cell in document.cells}
    if document.problem is not None and document.problem not in reasons:
        remarks.append(document.problem)
    if document.exit_code is None:
        remarks.append("the record ends before the run did")
    for remark in remarks:
        yield style.paint(f"note: {one_line(remark)}", _YELLOW)


def _warnings(cells: Sequence[CellResult]) -> Iterator[str]:
    yield from _said_once((cell.id, warning) for cell in cells for warning in cell.warnings)


def _without_snapshots(cells: Sequence[CellResult]) -> Iterator[str]:
    """Say why there is no snapshot of a cell, where that is not its verdict."""
    said = _said_once(
        (cell.id, f"{'not kept' if cell.snapshot.kept else 'no snapshot'}: {cell.snapshot.problem}")
        for cell in cells
        if cell.snapshot and cell.snapshot.problem and cell.status is not Status.SNAPSHOT_FAILED
    )
    yield from islice(said, _MOST_SNAPSHOTS)
    # Each has a reason in words of its own where the disk of the service is full.
    if more := sum(1 for _ in said):
        yield f"{count(more, 'more reason')} why there is no image of a cell: result.json"


def _refused(cells: Sequence[CellResult]) -> Iterator[str]:
    """Say what the networks of cells did not let out."""
    yield from _said_once(
        (cell.id, refused_names_line(cell.refused_names)) for cell in cells if cell.refused_names
    )
    yield from _said_once((cell.id, cell.refused_note) for cell in cells if cell.refused_note)


def _said_once(remarks: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Say once what is to be said of several cells."""
    cells: dict[str, list[str]] = {}
    for cell, remark in remarks:
        cells.setdefault(remark, []).append(cell)
    for remark, ids in cells.items():
        more = f" and {count(len(ids) - 1, 'more cell')}" if len(ids) > 1 else ""
        yield f"{ids[0]}{more}: {remark}"


def _conclusion(document: ResultDocument, style: Style) -> str:
    verdicts: dict[Status | None, int] = {}
    for cell in document.cells:
        verdicts[cell.status] = verdicts.get(cell.status, 0) + 1
    line = tally(verdicts)
    if document.seconds is not None:
        line += f" in {duration(document.seconds)}"
    all_passed = verdicts.keys() == {Status.PASSED} and document.exit_code == 0
    return style.paint(line, f"{_BOLD};{_GREEN if all_passed else _RED}")


def _reason(cell: CellResult) -> str:
    if cell.reason or cell.status is Status.PASSED or cell.exit_code is None:
        return one_line(cell.reason)
    return f"exit code {cell.exit_code}"


def _sign(cell: CellResult, style: Style) -> str:
    if not style.unicode:
        return ""
    if cell.status is Status.PASSED:
        return "✓ "
    return "– " if cell.status in {Status.CANCELLED, None} else "✗ "  # noqa: RUF001 - a sign


def _colour(cell: CellResult) -> str:
    return verdict_colour(cell.status)


def _shortened(line: str, style: Style) -> str:
    cut = line[:_LINE_LENGTH]
    if cut != line:
        cut += "…" if style.unicode else "..."
    return neutralise(cut, sgr=style.colour)
