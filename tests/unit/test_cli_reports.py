"""`--report KIND=FILE`."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.cli.reports import Report, ReportKind, parse_reports, write_report
from barasync.errors import ConfigError
from barasync.report.files import RunDirectory
from barasync.report.result import reduce_events
from tests.unit.report_examples import finished, run_started, started


def test_a_report_is_where_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    reports = parse_reports(["html=a.html", "html=out/b=c.html", "html=/e.html"], tmp_path)

    paths = (tmp_path / "a.html", tmp_path / "out/b=c.html", Path("/e.html"))
    assert reports == tuple(Report(ReportKind.HTML, path) for path in paths)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["html"], "--report html: what and where to, as in --report html=report.html"),
        (["html="], "--report html=: what and where to"),
        (["htm=a"], "there is no report 'htm'; did you mean 'html'?"),
        (["=a"], "there is no report ''"),
        (["html=out"], "out is a directory; name the file"),
        (["html=none/a.html"], "there is no directory {tmp_path}/none"),
        (["html=a.html", "html=./a.html"], "--report html=./a.html: two reports would go to one"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_anything_runs(
    texts: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()

    with pytest.raises(ConfigError) as caught:
        parse_reports(texts, tmp_path)

    assert message.format(tmp_path=tmp_path) in str(caught.value)


def test_the_links_of_a_report_hold_from_where_it_lies(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "deep"
    real.mkdir(parents=True)
    (tmp_path / "out").symlink_to(real)
    record = RunDirectory(tmp_path / "project" / ".barasync" / "runs" / "1")
    document = reduce_events([run_started("amd64"), started("amd64"), finished("amd64")])
    (report,) = parse_reports(["html=out/report.html"], tmp_path)

    write_report(report, document, record)

    written = (real / "report.html").read_text()
    assert 'href="./../../project/.barasync/runs/1/cells/amd64/output.log"' in written
    assert [path.name for path in real.iterdir()] == ["report.html"]
