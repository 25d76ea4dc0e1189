"""A container in a list."""

from __future__ import annotations

from datetime import UTC, datetime

from barasync.aiopodman import ContainerStats, ContainerSummary
from barasync.cli.columns import in_columns
from barasync.cli.container_table import Row, as_data, as_text

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
LABELS = {"barasync.run": "run1", "barasync.cell": "arm64", "barasync.attempt": "1"}
RUNS = Row(
    ContainerSummary(
        id="a" * 64,
        names=["barasync-run1-arm64-1-detached"],
        state="running",
        health="starting",
        created=NOON,
        started_at=1795780801,
        exited_at=-62135596800,
        labels=LABELS,
    ),
    "linux/arm64",
    ContainerStats(memory_bytes=3 << 20, cpu_nanoseconds=1_500_000_000),
)
OVER = Row(
    ContainerSummary(id="b" * 64, state="exited", exit_code=3, exited_at=1795780800), "", None
)


def test_a_row_tells_state_age_platform_health_and_what_it_consumes() -> None:
    assert as_text(RUNS, NOON.timestamp() + 130) == (
        *("run1", "arm64", "running", "2 min", "linux/arm64", "starting", "3.0 MiB", "1.5 s"),
        *("barasync-run1-arm64-1-detached", "aaaaaaaaaaaa"),
    )
    assert as_text(OVER, 0) == (
        *("-", "-", "exited (3)", "-", "-", "-", "-", "-", "bbbbbbbbbbbb", "bbbbbbbbbbbb"),
    )


def test_as_json_it_has_bytes_seconds_and_times_and_nothing_where_nothing_is_known() -> None:
    runs, over = as_data(RUNS), as_data(OVER)

    assert (runs["detached"], runs["memory_bytes"], runs["cpu_seconds"]) == (True, 3 << 20, 1.5)
    assert (runs["created"], runs["started"]) == (
        "2026-11-27T12:00:00+00:00",
        "2026-11-27T12:00:01+00:00",
    )
    assert (runs["exited"], runs["exit_code"]) == (None, None)
    assert (over["run"], over["platform"], over["health"], over["created"]) == (None,) * 4
    assert (over["exit_code"], over["detached"], over["memory_bytes"]) == (3, False, None)


def test_columns_are_as_wide_as_their_longest_word() -> None:
    assert in_columns([("A", "LONG"), ("word", "x"), ("", "")]) == "A     LONG\nword  x\n"
