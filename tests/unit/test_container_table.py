"""A container in a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import anyio
import msgspec
import pytest

from barasync.aiopodman import ContainerStats, ContainerSummary, Podman, ProtocolError
from barasync.cli.columns import in_columns
from barasync.cli.container_table import Row, as_data, as_table, as_text, samples_of

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


def test_one_that_was_started_again_has_no_exit_code_yet() -> None:
    again = as_data(replace(RUNS, container=msgspec.structs.replace(RUNS.container, exited_at=7)))

    assert (again["state"], again["exit_code"], again["exited"]) == ("running", None, None)


RUN = "20261127-204145-ab12"


def row_of(name: str, *, health: str = "", state: str = "running") -> Row:
    labels = {"barasync.run": RUN, "barasync.cell": "arm64-release", "barasync.attempt": "1"}
    container = ContainerSummary(
        id="c" * 64, names=[name], state=state, health=health, created=NOON, labels=labels
    )
    stats = ContainerStats(memory_bytes=999 << 20, cpu_nanoseconds=1_500_000_000)
    return Row(container, "linux/arm64", stats)


def test_on_a_terminal_of_80_columns_an_attempt_is_named_by_run_cell_and_id() -> None:
    name = f"barasync-{RUN}-arm64-release-1"

    heading, line = as_table([row_of(name)], NOON.timestamp() + 720, 80).splitlines()

    assert heading.split() == ["RUN", "CELL", "STATE", "AGE", "MEMORY", "ID"]
    assert line.split() == [RUN, "arm64-release", "running", "12", "min", "999", "MiB", "c" * 12]
    assert len(line) <= 80


def test_there_the_name_of_a_service_or_a_detached_container_is_what_the_rest_does_not_say() -> (
    None
):
    name = f"barasync-{RUN}-arm64-release-1"
    rows = [row_of(name + end) for end in ("", "-beside-db", "-detached")]

    lines = as_table(rows, NOON.timestamp() + 720, 80).splitlines()

    assert lines[0].split() == ["RUN", "CELL", "STATE", "AGE", "NAME", "ID"]
    assert [line.split()[-2] for line in lines[1:]] == ["-", "…-beside-db", "…-detached"]
    assert max(map(len, lines)) <= 80


def test_health_stays_longer_than_what_is_consumed() -> None:
    row = row_of(f"barasync-{RUN}-arm64-release-1", health="unhealthy")

    heading = as_table([row], NOON.timestamp(), 80).splitlines()[0]

    assert heading.split() == ["RUN", "CELL", "STATE", "AGE", "HEALTH", "ID"]


def test_a_pipe_and_a_wide_terminal_have_all_columns() -> None:
    rows = [row_of(f"barasync-{RUN}-arm64-release-1-beside-db", state="exited")]

    piped = as_table(rows, NOON.timestamp(), None)

    assert len(piped.splitlines()[0].split()) == 10
    assert f"barasync-{RUN}-arm64-release-1-beside-db" in piped
    assert as_table(rows, NOON.timestamp(), 200) == piped
    assert len(as_table([], NOON.timestamp(), 80).split()) == 10


class Statistics:
    """A podman whose containers run or have vanished; it refuses to sample any that has."""

    def __init__(self, *running: str, refusals: int = 0) -> None:
        self.running = running
        self.refusals = refusals
        self.asked: list[Sequence[str]] = []
        self.containers = self

    async def sample(self, containers: Sequence[str]) -> list[ContainerStats]:
        await anyio.lowlevel.checkpoint()
        self.asked.append(containers)
        if self.refusals > 0 or not set(containers) <= set(self.running):
            self.refusals -= 1
            raise ProtocolError("podman could not sample its containers: {}")
        return [
            ContainerStats(container_id=each, memory_bytes=0 if each == "ended" else 4096)
            for each in containers
        ]

    async def list(self) -> list[ContainerSummary]:
        await anyio.lowlevel.checkpoint()
        return [ContainerSummary(id=each) for each in self.running]


@pytest.mark.anyio
async def test_where_one_vanishes_those_that_still_run_are_sampled_once_more() -> None:
    podman = Statistics("a", "b", "ended", "foreign")

    found = await samples_of(cast("Podman", podman), ["a", "gone", "b", "ended"])

    assert podman.asked == [["a", "gone", "b", "ended"], ["a", "b", "ended"]]
    assert sorted(found) == ["a", "b"]


@pytest.mark.anyio
async def test_where_podman_has_no_statistics_twice_the_list_goes_without() -> None:
    podman = Statistics("a", refusals=5)

    assert await samples_of(cast("Podman", podman), ["a"]) == {}
    assert len(podman.asked) == 2


@pytest.mark.anyio
async def test_nothing_is_asked_where_nothing_runs_and_very_many_are_not_asked_for_at_once() -> (
    None
):
    many = [f"{each:064x}" for each in range(1200)]
    podman = Statistics(*many)

    assert await samples_of(cast("Podman", podman), []) == {}
    assert podman.asked == []
    assert sorted(await samples_of(cast("Podman", podman), many)) == many
    assert [len(each) for each in podman.asked] == [500, 500, 200]


def test_columns_are_as_wide_as_their_longest_word() -> None:
    assert in_columns([("A", "LONG"), ("word", "x"), ("", "")]) == "A     LONG\nword  x\n"
