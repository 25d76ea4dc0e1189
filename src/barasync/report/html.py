"""A run's result as one HTML page that stands alone: a pure function of the result document."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

from barasync.report.refusals import refused_names_line
from barasync.report.result import CellResult, ResultDocument
from barasync.report.words import count, duration, published, size, tally, verdict
from barasync.terminal_text import one_line

_TEMPLATE = "report.html.j2"


def as_html(document: ResultDocument, *, record: str) -> str:
    """Return the page: verdicts of all cells, and per cell what its network refused and why.

    `record` is the run's directory as seen from the directory of the page; links to logs begin with
    it. Nothing else is referred to: no script, no font, nothing from a network, and the page's own
    policy forbids it, because names and reasons come from containers. The page takes some 2 KiB and
    1 KiB a cell, and 8 KiB for each cell with a hundred refused destinations.
    """
    # It takes 40 ms to import; runs without a report do without.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - as said

    environment = Environment(
        loader=PackageLoader("barasync.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": count,
        "duration": duration,
        "line": one_line,
        "names": refused_names_line,
        "published": published,
        "size": size,
        "verdict": verdict,
    }
    return environment.get_template(_TEMPLATE).render(
        run=document,
        tally=tally(
            {
                status: sum(cell.status is status for cell in document.cells)
                for status in {cell.status for cell in document.cells}
            }
        ),
        told=[cell for cell in document.cells if _has_details(cell)],
        log_of=lambda cell: _log(cell, record),
    )


def _has_details(cell: CellResult) -> bool:
    return bool(
        cell.refused_packets
        or cell.refused
        or cell.refused_names
        or cell.ports
        or cell.warnings
        or cell.hint
    )


def _log(cell: CellResult, record: str) -> str | None:
    """Return a relative reference to the log of a cell's output (RFC 3986, section 4.2)."""
    if cell.logs is None:
        return None
    path = quote(str(PurePosixPath(record, cell.logs.output)))
    # A first segment with a colon would be taken for a scheme.
    return path if path.startswith("/") else f"./{path}"
