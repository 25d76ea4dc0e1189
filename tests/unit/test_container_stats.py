"""Figures out of samples, whatever becomes of podman's streams and of whoever prints them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import anyio
import pytest

from barasync.aiopodman import (
    ContainerStats,
    ContainerSummary,
    Podman,
    SamplingFailed,
    StatsReport,
)
from barasync.cli.container_samples import Figures, Meter
from barasync.cli.container_stats import Table, Watched, show_samples
from barasync.cli.printing import Printer
from barasync.errors import EXIT_OK, EXIT_UNREAD
from barasync.report.channel import Channel
from barasync.report.writer import Writer

BOXES = {each: ContainerSummary(id=each, names=[f"box-{each}"]) for each in "ba"}
SECOND = 1_000_000_000
A_MINUTE = 60


def sample(at: float, **nanoseconds: int) -> StatsReport:
    return StatsReport(
        stats=[
            ContainerStats(
                container_id=each,
                cpu_nanoseconds=used,
                memory_bytes=used and 4096,
                taken_at_nanoseconds=round(at * SECOND),
            )
            for each, used in nanoseconds.items()
        ]
    )


def of_run(container_id: str) -> ContainerSummary:
    return ContainerSummary(
        id=container_id, names=[container_id], state="running", labels={"barasync.run": "run"}
    )


class FakePodman:
    """Lists `present`, and opens one stream after the other, each of the samples in an inbox."""

    def __init__(self) -> None:
        self.present = ["a"]
        self.containers = self
        self.opened = 0
        self.broken = False
        self.send, self._inbox = anyio.create_memory_object_stream[StatsReport](0)

    async def list(self, **_options: Any) -> list[ContainerSummary]:
        await anyio.lowlevel.checkpoint()
        return [of_run(each) for each in self.present]

    @asynccontextmanager
    async def stats(self) -> AsyncIterator[AsyncIterator[StatsReport]]:
        self.opened += 1
        yield self._samples()

    async def _samples(self) -> AsyncIterator[StatsReport]:
        if self.broken:
            raise SamplingFailed("no cgroup")
        async for each in self._inbox:
            if each.stats is None:
                raise SamplingFailed("one vanished")
            yield each

    def close(self) -> None:
        self.send.close()
        self._inbox.close()


@pytest.fixture
def fake() -> Iterator[FakePodman]:
    podman = FakePodman()
    yield podman
    podman.close()


class Shown:
    """Keeps what is shown; the second time it waits until it may go on, the third is the last."""

    def __init__(self) -> None:
        self.figures: list[Sequence[Figures]] = []
        self.stands_still = anyio.Event()
        self.goes_on = anyio.Event()

    async def show(self, figures: Sequence[Figures], _stream: bool, /) -> int:
        self.figures.append(figures)
        if len(self.figures) == 2:
            self.stands_still.set()
            await self.goes_on.wait()
        return EXIT_UNREAD if len(self.figures) == 3 else EXIT_OK


def test_the_share_of_a_core_takes_two_samples_and_the_time_between_them() -> None:
    meter = Meter()

    first = meter.figures(sample(10.0, a=1_000_000_000, b=1), BOXES)
    second = meter.figures(sample(12.0, a=2_000_000_000, b=500_000_001), BOXES)

    assert [each.container.id for each in first] == ["a", "b"]
    assert [each.cpu_percent for each in first] == [None, None]
    assert [each.cpu_percent for each in second] == pytest.approx([50.0, 25.0])


def test_what_is_not_watched_or_consumes_nothing_any_more_has_no_figures() -> None:
    meter = Meter()
    meter.figures(sample(0.0, a=10), BOXES)

    assert meter.figures(sample(1.0, a=0, c=5), BOXES) == []
    assert meter.figures(StatsReport(), BOXES) == []


def test_a_container_that_was_started_again_has_used_nothing_and_no_less() -> None:
    meter = Meter()
    meter.figures(sample(0.0, a=10_000), BOXES)

    (figures,) = meter.figures(sample(1.0, a=5), BOXES)

    assert figures.cpu_percent == 0


def test_samples_that_are_too_near_to_each_other_have_no_share_and_the_next_one_has() -> None:
    meter = Meter()
    meter.figures(sample(10.0, a=SECOND), BOXES)

    (near,) = meter.figures(sample(10.001, a=SECOND + SECOND // 100), BOXES)
    (far,) = meter.figures(sample(11.0, a=SECOND + SECOND // 2), BOXES)

    assert near.cpu_percent is None
    assert far.cpu_percent == pytest.approx(50.0)


def test_a_clock_that_was_set_back_takes_one_share_and_not_those_after_it() -> None:
    meter = Meter()
    meter.figures(sample(1000.0, a=SECOND), BOXES)

    (back,) = meter.figures(sample(10.0, a=SECOND), BOXES)
    (after,) = meter.figures(sample(11.0, a=2 * SECOND), BOXES)

    assert back.cpu_percent is None
    assert after.cpu_percent == pytest.approx(100.0)


@pytest.mark.anyio
async def test_a_printer_that_stands_still_changes_no_share_and_gets_the_newest_sample(
    fake: FakePodman,
) -> None:
    shown = Shown()
    podman = cast("Podman", fake)
    watched = Watched(podman, None)
    await watched.look([])
    codes = []

    async def watch() -> None:
        codes.append(await show_samples(podman, watched, shown, stream=True))

    with anyio.fail_after(A_MINUTE):
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await fake.send.send(sample(0, a=SECOND))
            while not shown.figures:
                await anyio.lowlevel.checkpoint()
            await fake.send.send(sample(1, a=SECOND + SECOND // 4))
            await shown.stands_still.wait()
            # Half of a core is used, and each of these is read though nobody prints.
            for moment in range(2, 20):
                await fake.send.send(sample(moment, a=SECOND * moment // 2 + SECOND))
            await anyio.wait_all_tasks_blocked()
            shown.goes_on.set()

    first, second, third = (each[0] for each in shown.figures)
    assert codes == [EXIT_UNREAD]
    assert first.cpu_percent is None
    assert second.cpu_percent == pytest.approx(25.0)
    assert third.stats.taken_at_nanoseconds == 19 * SECOND
    assert third.cpu_percent == pytest.approx((19 / 2 - 1 / 4) / 18 * 100)


@pytest.mark.anyio
async def test_a_stream_that_breaks_off_is_opened_again(fake: FakePodman) -> None:
    shown = Shown()
    shown.goes_on.set()
    podman = cast("Podman", fake)
    watched = Watched(podman, None)
    await watched.look([])

    async with anyio.create_task_group() as group:
        group.start_soon(partial(show_samples, podman, watched, shown, stream=True))
        for second in range(3):
            await fake.send.send(sample(second, a=SECOND))
            while len(shown.figures) <= second:
                await anyio.lowlevel.checkpoint()
            if second < 2:
                await fake.send.send(StatsReport())

    assert fake.opened == 3


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [True, False])
async def test_streams_that_never_have_a_sample_are_an_error_with_podmans_words(
    fake: FakePodman, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr("barasync.cli.container_samples._PAUSE_SECONDS", 0)
    shown = Shown()
    fake.broken = True
    podman = cast("Podman", fake)
    watched = Watched(podman, None)
    await watched.look([])

    with anyio.fail_after(A_MINUTE), pytest.raises(ExceptionGroup) as raised:
        await show_samples(podman, watched, shown, stream=stream)

    (error,) = raised.value.exceptions
    assert isinstance(error, SamplingFailed)
    assert str(error) == "no cgroup"
    assert fake.opened == 10


@pytest.mark.anyio
async def test_of_those_that_are_gone_nothing_is_kept(fake: FakePodman) -> None:
    watched = Watched(cast("Podman", fake), None)
    await watched.look([])
    for number in range(1, 100):
        fake.present = [f"id-{number}"]
        await watched.look_again(sample(number, **{f"id-{number}": 1}))

    assert list(watched.containers) == ["id-99"]
    assert watched.known == {"id-99"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("rows", "last"), [(6, "box-4"), (5, "… and 2 more"), (3, "… and 4 more"), (2, "… and 4 more")]
)
async def test_a_table_that_does_not_fit_on_a_terminal_says_how_many_are_left_out(
    rows: int, last: str
) -> None:
    written: list[bytes] = []

    class Terminal:
        def write(self, data: bytes) -> None:
            written.append(data)

    channel = Channel(Terminal(), terminal=True, size=lambda: os.terminal_size((80, rows)))
    figures = [
        Figures(ContainerSummary(id=f"{each}", names=[f"box-{each}"]), ContainerStats(), None)
        for each in range(1, 5)
    ]
    with Writer(channel) as writer:
        await Table(Printer(channel, writer)).show(figures, True)

    lines = b"".join(written).decode().splitlines()
    assert len(lines) == min(rows - 1, 5)
    assert lines[-1].startswith(last)
