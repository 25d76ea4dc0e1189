"""What containers consume, the processes in them, and pauses: on real podmans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from anyio.lowlevel import checkpoint

from barasync.aiopodman import (
    Conflict,
    ContainerSpec,
    NotFound,
    Podman,
    StatsReport,
    quirks,
)
from tests.contract.running import created, shell

pytestmark = pytest.mark.anyio

WAITING = "trap exit TERM; echo ready; while :; do sleep 0.1; done"
BUSY = "echo ready; while :; do :; done"
# Of /proc/PID/stat behind the name in brackets: utime and stime, see proc(5).
CPU_TIMES = slice(11, 13)


def waiting(image: str) -> ContainerSpec:
    return shell(image, WAITING)


def cpu_time(pid: int) -> int:
    """Return how long a process has computed, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[CPU_TIMES]))


async def last_of(reports: AsyncIterator[StatsReport]) -> StatsReport | None:
    """Return the last of them, where they end."""
    last = None
    async for report in reports:
        last = report
    return last


async def test_named_containers_are_sampled_together_and_alone(
    podman: Podman, busybox: str
) -> None:
    async with (
        created(podman, waiting(busybox)) as one,
        created(podman, waiting(busybox)) as other,
        created(podman, waiting(busybox)) as third,
    ):
        for container in (one, other, third):
            await container.start()
        async with podman.containers.stats([one.id, other.id]) as reports:
            first, second = await anext(reports), await anext(reports)
        async with one.stats() as reports:
            own = await anext(reports)
        now = await podman.containers.sample([third.id])
        alone = await third.sample()
        every = await podman.containers.sample()
        async with podman.containers.stats() as reports:
            of_all = await anext(reports)
        with pytest.raises(NotFound, match="barasync-test-nobody"):
            await podman.containers.sample([one.id, "barasync-test-nobody"])
        with pytest.raises(NotFound, match="barasync-test-nobody"):
            async with podman.containers.stats(["barasync-test-nobody"]) as reports:
                await anext(reports)

    for report in (first, second):
        assert {each.container_id for each in report.stats or ()} == {one.id, other.id}
    assert [each.container_id for each in own.stats or ()] == [one.id]
    assert [each.container_id for each in now] == [third.id]
    assert {each.container_id for each in every} >= {one.id, other.id, third.id}
    assert {each.container_id for each in of_all.stats or ()} >= {one.id, other.id, third.id}
    assert alone.pids > 0
    assert alone.memory_limit > alone.memory_bytes > 0


async def test_a_stream_of_statistics_ends_when_one_of_the_named_is_removed(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, waiting(busybox)) as one, created(podman, waiting(busybox)) as other:
        await one.start()
        await other.start()
        async with podman.containers.stats([one.id, other.id]) as reports:
            first = await anext(reports)
            await other.remove(force=True, timeout=0)
            with pytest.raises(NotFound, match=other.id[:12]):
                await last_of(reports)

    assert {each.container_id for each in first.stats or ()} == {one.id, other.id}


async def test_top_of_nothing_is_empty__and_a_conflict_to_whoever_asks(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, waiting(busybox)) as container:
        with pytest.raises(Conflict) as refused:
            await container.top()
        await container.start()
        shown = await container.top(["pid", "args"])
        default = await container.top()

    old = quirks.TOP_OF_NOTHING_IS_EMPTY.is_active(podman.version.release)
    assert (refused.value.status == 200) == old
    assert shown.titles == ["PID", "COMMAND"]
    assert ["1", f"sh -c {WAITING}"] in shown.processes
    assert default.titles == ["USER", "PID", "PPID", "%CPU", "ELAPSED", "TTY", "TIME", "COMMAND"]


async def test_a_paused_container_computes_nothing_until_it_goes_on(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, BUSY)) as container:
        with pytest.raises(Conflict):
            await container.pause()
        async with container.start_attached() as chunks:
            await anext(chunks)
            pid = (await container.inspect()).state.pid
            await container.pause()
            before = cpu_time(pid)
            paused = [(await container.inspect()).state.status for _ in range(10)]
            after = cpu_time(pid)
            with pytest.raises(Conflict):
                await container.pause()
            await container.unpause()
            going = (await container.inspect()).state.status
            while cpu_time(pid) == after:
                await checkpoint()
            with pytest.raises(Conflict):
                await container.unpause()
            await container.kill()
            assert [chunk async for chunk in chunks] == []

    assert after == before
    assert set(paused) == {"paused"}
    assert going == "running"
