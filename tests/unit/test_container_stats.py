"""Figures out of two samples."""

from __future__ import annotations

import pytest

from barasync.aiopodman import ContainerStats, ContainerSummary, StatsReport
from barasync.cli.container_stats import Meter

BOXES = {each: ContainerSummary(id=each, names=[f"box-{each}"]) for each in "ba"}


def sample(**nanoseconds: int) -> StatsReport:
    return StatsReport(
        stats=[
            ContainerStats(container_id=each, cpu_nanoseconds=used, memory_bytes=used and 4096)
            for each, used in nanoseconds.items()
        ]
    )


def test_the_share_of_a_core_takes_two_samples_and_the_time_between_them() -> None:
    meter = Meter()

    first = meter.figures(sample(a=1_000_000_000, b=1), BOXES, 10.0)
    second = meter.figures(sample(a=2_000_000_000, b=500_000_001), BOXES, 12.0)

    assert [each.container.id for each in first] == ["a", "b"]
    assert [each.cpu_percent for each in first] == [None, None]
    assert [each.cpu_percent for each in second] == pytest.approx([50.0, 25.0])


def test_what_is_not_watched_or_consumes_nothing_any_more_has_no_figures() -> None:
    meter = Meter()
    meter.figures(sample(a=10), BOXES, 0.0)

    assert meter.figures(sample(a=0, c=5), BOXES, 1.0) == []
    assert meter.figures(StatsReport(), BOXES, 2.0) == []


def test_a_container_that_was_started_again_has_used_nothing_and_no_less() -> None:
    meter = Meter()
    meter.figures(sample(a=10_000), BOXES, 0.0)

    (figures,) = meter.figures(sample(a=5), BOXES, 1.0)

    assert figures.cpu_percent == 0
