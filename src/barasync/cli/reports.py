"""`--report KIND=FILE`: a run's result once more, where and as somebody wants it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError
from barasync.report.files import RunDirectory, written_whole

if TYPE_CHECKING:
    from barasync.report.result import ResultDocument


class ReportKind(StrEnum):
    """What a report is written as."""

    HTML = "html"


@dataclass(frozen=True, slots=True)
class Report:
    """A report to be written; `path` is absolute."""

    kind: ReportKind
    path: Path


def parse_reports(texts: Sequence[str], directory: Path) -> tuple[Report, ...]:
    """Read the values of `--report`; relative files are in `directory`. Looks whether files can be.

    Raises:
        ConfigError: one is not `KIND=FILE`, is of an unknown kind, names a directory or a file in
            a directory that is not there, or two are the same file.
    """
    reports = tuple(_parse(text, directory) for text in texts)
    for place, report in enumerate(reports):
        if any(report.path == other.path for other in reports[:place]):
            raise ConfigError(f"--report {texts[place]}: two reports would go to one file")
    return reports


def write_report(report: Report, document: ResultDocument, record: RunDirectory) -> None:
    """Write a report of a run in one step: readers see all of it or none; blocking.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    from barasync.report.html import as_html  # noqa: PLC0415 - only for runs that have a report

    # As seen from where the file really lies, so that its links hold behind a symbolic link.
    place = os.path.relpath(record.path.resolve(), report.path.parent.resolve())
    page = as_html(document, record=place).encode()
    with written_whole(report.path) as file:
        file.write(page)


def _parse(text: str, directory: Path) -> Report:
    kind, separator, file = text.partition("=")
    kinds = [str(each) for each in ReportKind]
    if not separator or not file:
        raise ConfigError(
            f"--report {text}: what and where to, as in --report html=report.html, is expected"
        )
    if kind not in kinds:
        raise ConfigError(
            f"--report {text}: there is no report '{kind}'{did_you_mean(kind, kinds)}",
            hint=f"there is {', '.join(kinds)}; result.json of the run's directory has it as JSON",
        )
    path = directory / file
    if path.is_dir():
        raise ConfigError(f"--report {text}: {file} is a directory; name the file")
    if not path.parent.is_dir():
        raise ConfigError(f"--report {text}: there is no directory {path.parent}")
    return Report(ReportKind(kind), path)
