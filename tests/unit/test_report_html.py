"""The HTML page of a run."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from barasync.events import AnyEvent
from barasync.matrix.outcome import Status
from barasync.networks.asked import RefusedName
from barasync.networks.refused import Refusal
from barasync.report.html import as_html
from barasync.report.result import ResultDocument, reduce_events
from tests.unit.report_examples import (
    FAILED,
    PASSED,
    container_started,
    finished,
    run_finished,
    run_started,
    started,
)

REFUSED = replace(
    FAILED,
    refused=(
        Refusal(address="198.51.100.9", protocol="tcp", port=443, packets=3),
        Refusal(address="2001:db8::9", protocol="icmpv6", port=None, packets=1),
    ),
    refused_packets=7,
    refused_note="refused 198.51.100.9 443/tcp (3 packets); the base 'public' lets it through",
    refused_names=(RefusedName(name="deb.example.org", questions=2),),
)


class Page(HTMLParser):
    """The texts of a page's cells by row, its references, and all the tags that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.references: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._inside = False

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())
        if self._inside:
            self.rows[-1][-1] += data.strip()


def document(*events: AnyEvent, cells: tuple[str, ...] = ("amd64",)) -> ResultDocument:
    return reduce_events([run_started(*cells), *events])


def page(*events: AnyEvent, cells: tuple[str, ...] = ("amd64",), record: str = "runs/1") -> Page:
    return Page(as_html(document(*events, cells=cells), record=record))


def test_every_cell_has_a_row_with_its_verdict() -> None:
    shown = page(
        started("amd64"),
        finished("amd64", PASSED),
        started("arm64"),
        finished("arm64", FAILED),
        run_finished(exit_code=1),
        cells=("amd64", "arm64", "riscv64"),
    )

    assert shown.rows[1:4] == [
        ["amd64", "linux/amd64", "passed", "3.1 s", "40 MiB", "", ""],
        ["arm64", "linux/arm64", "failed", "3.1 s", "1.0 GiB", "", "exit code 3"],
        ["riscv64", "linux/riscv64", "no verdict", "", "", "", ""],
    ]
    assert "tests: 1 failed, 1 no verdict, 1 passed" in shown.texts
    assert any("exit code 1" in text for text in shown.texts)


def test_what_a_cells_network_refused_is_there_with_what_would_let_it_through() -> None:
    shown = page(started("amd64"), finished("amd64", REFUSED), run_finished(1))

    assert shown.rows[1][5] == "7"
    assert ["198.51.100.9", "443/tcp", "3"] in shown.rows
    assert ["2001:db8::9", "icmpv6", "1"] in shown.rows
    assert ["in all", "", "7"] in shown.rows
    assert ["deb.example.org", "2"] in shown.rows
    assert REFUSED.refused_note in shown.texts


def test_where_ports_were_and_what_was_warned_of_is_there() -> None:
    ports = {"80/tcp": ("127.0.0.1:4711",)}
    warned = replace(PASSED, warnings=("limits are ignored",))

    shown = page(
        started("amd64"), container_started("amd64", ports=ports), finished("amd64", warned)
    )

    assert "ports: 80/tcp at 127.0.0.1:4711" in shown.texts
    assert "limits are ignored" in shown.texts
    assert "The record ends before the run did." in shown.texts


@pytest.mark.parametrize(
    ("record", "reference"),
    [
        (".barasync/runs/1", "./.barasync/runs/1/cells/amd64/output.log"),
        ("../x y/a:b#c?d", "./../x%20y/a%3Ab%23c%3Fd/cells/amd64/output.log"),
        ("/runs/1", "/runs/1/cells/amd64/output.log"),
    ],
)
def test_a_cell_that_ran_leads_to_its_log(record: str, reference: str) -> None:
    shown = page(started("amd64"), finished("amd64"), cells=("amd64", "arm64"), record=record)

    assert shown.references == [reference]


HOSTILE = "</td><script>alert(1)</script><img src=x onerror=y>'\"&\x1b[31m\x00\u202e"


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": HOSTILE},
        {"hint": HOSTILE},
        {"warnings": (HOSTILE,)},
        {"refused_note": HOSTILE},
        {"refused": (Refusal(address=HOSTILE, protocol=HOSTILE, port=1, packets=1),)},
        {"refused": (Refusal(address="::1", protocol=HOSTILE, port=None, packets=1),)},
        {"refused_names": (RefusedName(name=HOSTILE, questions=1),)},
    ],
)
def test_nothing_that_came_from_a_container_is_markup(changes: dict[str, Any]) -> None:
    outcome = replace(FAILED, refused_packets=1, **changes)

    text = as_html(document(started("amd64"), finished("amd64", outcome)), record="r")
    shown = Page(text)

    assert shown.tags.isdisjoint({"script", "img"})
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "\u202e" not in text
    assert any("<script>alert(1)</script>" in each for each in shown.texts)


def test_the_page_stands_alone() -> None:
    shown = page(started("amd64"), finished("amd64", REFUSED))

    assert shown.tags.isdisjoint({"link", "script", "img", "iframe"})
    assert [each for each in shown.references if "//" in each] == []


@pytest.mark.parametrize("status", [*Status])
def test_every_verdict_has_a_row(status: Status) -> None:
    shown = page(started("amd64"), finished("amd64", replace(FAILED, status=status)))

    assert shown.rows[1][0] == "amd64"
    assert shown.rows[1][2] != ""
