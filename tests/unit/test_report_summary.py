from __future__ import annotations

import pytest

from barasync.events import AnyEvent
from barasync.matrix.outcome import Collected, Outcome, OutputCounts, Snapshot, Status, Usage
from barasync.networks.refused import Refusal
from barasync.report.result import ResultDocument, reduce_events
from barasync.report.summary import needs_tail, summarise
from barasync.report.terminal import Style
from barasync.report.words import count, duration, ended_line, size, tally, verdict
from tests.unit.report_examples import (
    CANCELLED,
    FAILED,
    container_started,
    finished,
    leaked,
    run_finished,
    run_started,
    started,
)

EVENTS: tuple[AnyEvent, ...] = (
    run_started("amd64", "arm64", "riscv64"),
    started("amd64"),
    started("arm64"),
    finished("amd64"),
    finished("arm64", FAILED),
    finished("riscv64", CANCELLED, attempt=0),
    run_finished(1),
)


def summary(
    document: ResultDocument,
    *,
    tails: dict[str, list[str]] | None = None,
    style: Style | None = None,
    problems: tuple[str, ...] = (),
) -> list[str]:
    return summarise(
        document,
        record=".barasync/runs/R",
        artifacts=".barasync/runs/R/artifacts",
        tails=tails or {},
        style=style or Style(),
        problems=problems,
    )


def one_cell(outcome: Outcome, exit_code: int = 1) -> ResultDocument:
    return reduce_events(
        [
            run_started("amd64"),
            started("amd64"),
            finished("amd64", outcome),
            run_finished(exit_code),
        ]
    )


def test_the_whole_summary() -> None:
    lines = summary(reduce_events(EVENTS), tails={"arm64": ["compiling", "error: no"]})

    assert lines == [
        "arm64: failed: exit code 3",
        "  | compiling",
        "  | error: no",
        "  hint: read the log",
        "",
        "CELL     PLATFORM       RESULT     TIME   MEMORY    REASON",
        "amd64    linux/amd64    passed     3.1 s  40 MiB",
        "arm64    linux/arm64    failed     3.1 s  ~1.0 GiB  exit code 3",
        "riscv64  linux/riscv64  cancelled                   not started: the run was interrupted",
        "",
        "logs       .barasync/runs/R/cells/<cell>/output.log",
        "artifacts  .barasync/runs/R/artifacts/<cell>/ (1 file, 2.0 KiB)",
        "1 failed, 1 cancelled, 1 passed in 12.3 s",
    ]


def test_a_run_that_passed_ends_with_one_line() -> None:
    document = one_cell(Outcome(status=Status.PASSED, exit_code=0), exit_code=0)

    assert summary(document) == [
        "CELL   PLATFORM     RESULT  TIME",
        "amd64  linux/amd64  passed  3.1 s",
        "",
        "logs       .barasync/runs/R/cells/<cell>/output.log",
        "1 passed in 12.3 s",
    ]


def test_signs_and_colours_where_they_can_be_shown() -> None:
    lines = summary(
        reduce_events(EVENTS), tails={"arm64": ["no"]}, style=Style(colour=True, unicode=True)
    )

    assert lines[0] == "\x1b[31m✗ arm64: failed: exit code 3\x1b[0m"
    assert lines[1] == "  \x1b[2m│\x1b[0m no"
    assert lines[5].startswith("✓ amd64    linux/amd64    \x1b[32mpassed   \x1b[0m  3.1 s")
    assert lines[-1] == "\x1b[1;31m1 failed, 1 cancelled, 1 passed in 12.3 s\x1b[0m"


def test_columns_line_up_with_colours_as_without() -> None:
    plain = summary(reduce_events(EVENTS))
    coloured = summary(reduce_events(EVENTS), style=Style(colour=True))

    for code in ("1", "31", "32", "33", "1;31", "2"):
        coloured = [line.replace(f"\x1b[{code}m", "") for line in coloured]
    assert [line.replace("\x1b[0m", "") for line in coloured] == plain


def test_the_last_ten_lines_of_a_failure_are_shown() -> None:
    tail = [f"line {number}" for number in range(20)]
    lines = summary(one_cell(FAILED), tails={"amd64": tail})

    assert [line for line in lines if line.startswith("  |")] == [
        f"  | line {number}" for number in range(10, 20)
    ]


def test_the_output_of_a_cell_that_passed_is_not_shown_again() -> None:
    document = reduce_events(EVENTS)

    assert [cell.id for cell in document.cells if needs_tail(cell)] == ["arm64"]
    assert "secret" not in "\n".join(summary(document, tails={"amd64": ["secret"]}))


def test_a_tail_cannot_wreck_the_terminal_and_has_no_endless_lines() -> None:
    lines = summary(one_cell(FAILED), tails={"amd64": ["\x1b[2J\x1b[31mred", "x" * 1000]})

    assert lines[1:3] == ["  | red", "  | " + "x" * 400 + "..."]

    coloured = summary(one_cell(FAILED), tails={"amd64": ["\x1b[31mred"]}, style=Style(colour=True))

    assert coloured[1].endswith("\x1b[31mred\x1b[0m")


def test_a_reason_of_several_lines_is_shown_on_one() -> None:
    document = one_cell(
        Outcome(status=Status.INFRASTRUCTURE_ERROR, reason="podman: no\nsuch\x1b[2J file")
    )

    assert summary(document)[1].endswith("error   3.1 s  podman: no such file")


def test_an_exit_code_without_a_reason_is_named() -> None:
    assert summary(one_cell(Outcome(status=Status.FAILED, exit_code=7)))[1].endswith("exit code 7")


def test_what_the_verdicts_do_not_tell_is_noted() -> None:
    outcome = Outcome(
        status=Status.PASSED,
        output=OutputCounts(complete=False),
        artifacts=(
            Collected(source="/a", destination="/b", refused=("dev/sda: a device", "x: a fifo")),
        ),
    )
    lines = summary(one_cell(outcome, exit_code=0), problems=("the disk is full",))

    assert [line for line in lines if line.startswith("note: ")] == [
        "note: amd64: 2 archive members left out: dev/sda: a device",
        "note: amd64: its output is incomplete",
        "note: the disk is full",
    ]


def test_what_networks_refused_is_noted_once_for_all_cells_of_which_it_is_told() -> None:
    note = "its network 'private' refused 198.51.100.9 80/tcp (1 packet); `--network public` does"
    refused = (Refusal("198.51.100.9", "tcp", 80, 1),)
    told = Outcome(status=Status.FAILED, refused=refused, refused_note=note)
    document = reduce_events(
        [
            run_started("amd64", "arm64", "riscv64"),
            *(finished(cell, told) for cell in ("amd64", "arm64")),
            finished("riscv64", Outcome(status=Status.PASSED, refused=refused)),
            run_finished(1),
        ]
    )

    assert [line for line in summary(document) if line.startswith("note: ")] == [
        f"note: amd64 and 1 more cell: {note}"
    ]
    assert [cell.refused for cell in document.cells] == [refused] * 3


def test_the_logs_of_services_are_named_where_cells_have_some() -> None:
    beside = Outcome(status=Status.FAILED, exit_code=1, phases={"services": 0.5, "run": 1.0})
    line = "services   .barasync/runs/R/cells/<cell>/services/<name>.log"

    assert line in summary(one_cell(beside))
    assert line not in summary(one_cell(FAILED))


def test_the_problem_of_a_run_is_noted() -> None:
    document = reduce_events([run_started("amd64"), run_finished(4, "podman went away")])

    assert "note: podman went away" in summary(document)


def test_the_problem_of_a_run_that_is_that_of_a_cell_is_told_once() -> None:
    error = Outcome(status=Status.INFRASTRUCTURE_ERROR, reason="port 80 is in use", hint="leave it")
    document = reduce_events(
        [
            run_started("amd64"),
            started("amd64"),
            finished("amd64", error),
            run_finished(4, "port 80 is in use"),
        ]
    )

    assert not [line for line in summary(document) if line.startswith("note: ")]


def test_a_record_that_was_cut_off_says_so() -> None:
    lines = summary(reduce_events(EVENTS[:-2]))

    assert "note: the record ends before the run did" in lines
    assert lines[-1] == "1 failed, 1 no verdict, 1 passed"


def test_a_sampled_peak_is_marked_as_about() -> None:
    def memory(*, exact: bool) -> str:
        usage = Usage(peak_memory_bytes=512, exact=exact)
        return summary(one_cell(Outcome(status=Status.PASSED, usage=usage)))[1].split("  ")[-1]

    assert (memory(exact=True), memory(exact=False)) == ("512 B", "~512 B")


def test_every_status_has_its_words() -> None:
    words = [verdict(status) for status in (*Status, None)]

    assert len(set(words)) == len(words)


def test_every_status_is_counted() -> None:
    assert len(tally(dict.fromkeys((*Status, None), 1)).split(", ")) == len(Status) + 1
    assert tally({Status.PASSED: 3, Status.FAILED: 0}) == "3 passed"
    assert tally({}) == "no cells"


def test_the_end_of_a_cell_in_one_line() -> None:
    assert ended_line(finished("arm64")) == "arm64: passed after 3.1 s"
    assert ended_line(finished("arm64", FAILED)) == "arm64: failed after 3.1 s: exit code 3"
    assert ended_line(finished("arm64", CANCELLED, attempt=0)) == (
        "arm64: cancelled: not started: the run was interrupted"
    )
    assert ended_line(leaked("arm64")) == "arm64: leaked: container c0ffee could not be removed"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0.0 s"),
        (-0.1, "0.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (245.4, "4 min 5 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (8070.0, "2 h 14 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10 * 1024, "10 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (117 * 1024**2, "117 MiB"),
        (2 * 1024**3, "2.0 GiB"),
        (5000 * 1024**4, "5000 TiB"),
    ],
)
def test_sizes(number: int, words: str) -> None:
    assert size(number) == words


def test_counts() -> None:
    assert (count(1, "cell"), count(0, "cell"), count(6, "cell")) == (
        "1 cell",
        "0 cells",
        "6 cells",
    )


def test_published_ports_are_named_with_their_cells() -> None:
    ports = {"8000/tcp": ("127.0.0.1:4711", "[::1]:4711"), "53/udp": ("0.0.0.0:4712",)}
    cells = [f"c{number}" for number in range(10)]
    document = reduce_events(
        [run_started(*cells, "none"), *(container_started(cell, ports=ports) for cell in cells)]
    )

    lines = [line for line in summary(document) if line.startswith("ports ")]

    assert (
        lines[0] == "ports      c0: 8000/tcp at 127.0.0.1:4711, [::1]:4711; 53/udp at 0.0.0.0:4712"
    )
    assert len(lines) == 9
    assert lines[-1] == "ports      of 2 more cells: result.json"


def test_snapshots_are_named_with_their_cells_and_sizes() -> None:
    taken = Snapshot(name="localhost/broken:1", image="a1b2", bytes=3 * 1024**2)
    lines = summary(one_cell(Outcome(status=Status.FAILED, exit_code=3, snapshot=taken)))

    assert "snapshot   localhost/broken:1 (amd64, 3.0 MiB)" in lines


def test_many_snapshots_are_counted() -> None:
    names = [f"c{number}" for number in range(10)]
    outcomes = [
        Outcome(status=Status.PASSED, snapshot=Snapshot(name=f"localhost/x:{name}", image="a1b2"))
        for name in names
    ]
    document = reduce_events(
        [
            run_started(*names),
            *(started(name) for name in names),
            *(finished(name, outcome) for name, outcome in zip(names, outcomes, strict=True)),
            run_finished(0),
        ]
    )

    shown = [line for line in summary(document) if line.startswith("snapshot")]
    assert len(shown) == 9
    assert shown[-1] == "snapshot   2 more: `barasync image list`"


def test_the_way_into_what_is_kept_of_a_failed_cell_stands_below_it() -> None:
    kept = Snapshot(name="localhost/barasync/kept:x", image="a1b2", bytes=7, kept=True)
    lines = summary(one_cell(Outcome(status=Status.FAILED, exit_code=3, snapshot=kept)))

    assert lines[1] == "  kept: barasync shell --from-failed 20231114-221320-3f9a amd64"
    assert not any(line.startswith("snapshot") for line in lines)


def test_a_full_disk_under_many_failed_cells_fills_no_summary() -> None:
    names = [f"c{number}" for number in range(20)]
    outcomes = {
        name: Outcome(
            status=Status.FAILED,
            exit_code=3,
            snapshot=Snapshot(name=name, kept=True, problem=f"no space left for {name}"),
        )
        for name in names
    }
    document = reduce_events(
        [
            run_started(*names),
            *(started(name) for name in names),
            *(finished(name, outcome) for name, outcome in outcomes.items()),
            run_finished(1),
        ]
    )

    notes = [line for line in summary(document) if line.startswith("note: ")]
    assert len(notes) == 9
    assert notes[0] == "note: c0: not kept: no space left for c0"
    assert notes[-1] == "note: 12 more reasons why there is no image of a cell: result.json"


def test_a_snapshot_that_failed_is_a_note_of_a_cell_that_did_not_pass_anyway() -> None:
    missing = Snapshot(name="localhost/broken:1", problem="podman: no space left on device")
    lines = summary(one_cell(Outcome(status=Status.FAILED, exit_code=3, snapshot=missing)))

    assert "note: amd64: no snapshot: podman: no space left on device" in lines


def test_a_snapshot_that_failed_is_the_verdict_on_a_cell_that_would_have_passed() -> None:
    missing = Snapshot(name="localhost/broken:1", problem="no space left on device")
    outcome = Outcome(
        status=Status.SNAPSHOT_FAILED, exit_code=0, reason="no space left", snapshot=missing
    )

    lines = summary(one_cell(outcome))

    assert any("snapshot failed" in line and "no space left" in line for line in lines)
    assert not any(line.startswith("note:") for line in lines)
