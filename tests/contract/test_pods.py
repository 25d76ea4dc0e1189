"""Pods, statistics, processes, pauses, volumes and events of real podmans."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from barasync.aiopodman import (
    APIError,
    Conflict,
    ContainerSpec,
    Event,
    NotFound,
    Podman,
    PodSpec,
    ProtocolError,
    quirks,
)
from tests.contract.running import created, shell
from tests.contract.test_outages import kill_podman
from tests.rig import services
from tests.rig.busybox import native_architecture
from tests.rig.services import Installation, RigService

pytestmark = pytest.mark.anyio

NAME = "barasync-test-pod"
LABEL = "barasync-test"
WAITING = "trap exit TERM; echo ready; while :; do sleep 0.1; done"


@asynccontextmanager
async def pod(podman: Podman, spec: PodSpec) -> AsyncIterator[None]:
    await podman.pods.create(spec)
    try:
        with anyio.fail_after(50):
            yield
    finally:
        with anyio.move_on_after(40, shield=True):
            await podman.pods.stop(spec.name, timeout=1)
            await podman.pods.remove(spec.name, force=True, missing_ok=True)


def waiting(image: str, **settings: str) -> ContainerSpec:
    return ContainerSpec(image=image, command=("sh", "-c", WAITING), **settings)  # type: ignore[arg-type] # texts


async def test_the_containers_of_a_pod_start_stop_and_go_together(
    podman: Podman, busybox: str
) -> None:
    async with pod(podman, PodSpec(name=NAME, labels={LABEL: "1"})):
        with pytest.raises(Conflict):
            await podman.pods.create(PodSpec(name=NAME))
        members = [
            await podman.containers.create(waiting(busybox, pod=NAME, name=f"{NAME}-{number}"))
            for number in range(2)
        ]
        await podman.pods.start(NAME)
        running = await podman.pods.inspect(NAME)
        processes = await podman.pods.top(NAME, ["args"])
        listed = await podman.pods.list(labels={LABEL: "1"})
        with pytest.raises(APIError, match="running"):
            await podman.pods.remove(NAME)
        await podman.pods.start(NAME)
        await podman.pods.stop(NAME, timeout=1)
        stopped = await podman.pods.inspect(NAME)
        await podman.pods.remove(NAME)

        assert {each.id for each in running.members} == {each.id for each in members}
        assert {each.state for each in running.members} == {"running"}
        assert not running.infra_container_id
        assert processes.titles == ["COMMAND"]
        assert len([row for row in processes.processes if WAITING in row[0]]) == len(members)
        assert [each.name for each in listed] == [NAME]
        assert "running" not in {each.state for each in stopped.members}
        assert not await podman.pods.exists(NAME)
        for container in members:
            with pytest.raises(NotFound):
                await container.inspect()
        await podman.pods.create(PodSpec(name=NAME))


async def test_containers_of_a_pod_with_an_infra_image_share_its_network(
    podman: Podman, busybox: str
) -> None:
    spec = PodSpec(name=NAME, infra_image=busybox, infra_command=("sleep", "100000"))
    listening = "nc -l -p 7777 -e echo hello"
    calling = "until nc 127.0.0.1 7777 </dev/null 2>/dev/null; do sleep 0.1; done"
    async with pod(podman, spec):
        for number, script in enumerate((listening, calling)):
            container = await podman.containers.create(
                replace(shell(busybox, script), pod=NAME, network="pod", name=f"{NAME}-{number}")
            )
        await podman.pods.start(NAME)
        await container.wait()
        async with container.logs() as chunks:
            output = b"".join([chunk.data async for chunk in chunks])
        found = await podman.pods.inspect(NAME)

    assert output == b"hello\n"
    assert len(found.containers) == len(found.members) + 1
    assert "net" in found.shared_namespaces


async def test_a_container_in_a_pod_that_is_not_there_is_refused(
    podman: Podman, busybox: str
) -> None:
    with pytest.raises(NotFound):
        await podman.containers.create(waiting(busybox, pod=NAME))


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
        with pytest.raises((NotFound, ProtocolError)):
            await podman.containers.sample(["barasync-test-nobody"])

    for report in (first, second):
        assert {each.container_id for each in report.stats or ()} == {one.id, other.id}
    assert [each.container_id for each in own.stats or ()] == [one.id]
    assert [each.container_id for each in now] == [third.id]
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
            rest = [report async for report in reports]

    assert first.error is None
    assert rest[-1].error is not None


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


async def test_a_paused_container_does_nothing_until_it_goes_on(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, waiting(busybox)) as container:
        with pytest.raises(Conflict):
            await container.pause()
        async with container.start_attached() as chunks:
            await anext(chunks)
            await container.pause()
            paused = await container.inspect()
            with pytest.raises(Conflict):
                await container.pause()
            await container.unpause()
            with pytest.raises(Conflict):
                await container.unpause()
            going = await container.inspect()
            await container.stop()
            assert [chunk async for chunk in chunks] == []

    assert (paused.state.status, going.state.status) == ("paused", "running")


async def test_volumes_are_inspected_and_pruned_by_label(podman: Podman) -> None:
    try:
        await podman.volumes.create(f"{NAME}-1", labels={LABEL: "1"})
        await podman.volumes.create(f"{NAME}-2", labels={LABEL: "2"})

        found = await podman.volumes.inspect(f"{NAME}-1")
        pruned = await podman.volumes.prune(LABEL, "1")
        with pytest.raises(NotFound):
            await podman.volumes.inspect(f"{NAME}-1")

        assert found.labels == {LABEL: "1"}
        assert pruned == {f"{NAME}-1"}
        assert await podman.volumes.exists(f"{NAME}-2")
    finally:
        for number in "12":
            await podman.volumes.remove(f"{NAME}-{number}", missing_ok=True)


async def test_a_secret_is_inspected_without_its_bytes(podman: Podman) -> None:
    identity = await podman.secrets.create(NAME, b"hunter2", labels={LABEL: "1"})
    try:
        found = await podman.secrets.inspect(NAME)
    finally:
        await podman.secrets.remove(NAME)

    assert (found.id, found.spec.name, found.spec.labels) == (identity, NAME, {LABEL: "1"})


@pytest.fixture
def mortal(installation: Installation) -> Iterator[RigService]:
    """A service of its own, which may be killed."""
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        service = services.start(installation, environ, directory)
        yield service
        services.stop(service)


async def test_events_are_each_told_once_although_podman_died_between_them(
    mortal: RigService,
) -> None:
    image = mortal.busybox(native_architecture())
    begun = dt.datetime.now(dt.UTC)
    watched: list[Event] = []

    async def until_removed(events: AsyncIterator[Event], container: str) -> None:
        async for event in events:
            watched.append(event)
            if (event.actor.id, event.action) == (container, "remove"):
                return

    async def live(podman: Podman) -> str:
        async with created(podman, shell(image, "exit 3")) as container:
            await container.start()
            await container.wait()
        return container.id

    async def die(podman: Podman) -> None:
        lives = await podman.presence.count()
        kill_podman(mortal)
        while await podman.presence.count() == lives:
            await anyio.lowlevel.checkpoint()
        await podman.system.info()

    filters = {"type": ["container"]}
    async with Podman(mortal.endpoint, outage=60) as podman:
        with anyio.fail_after(120):
            async with podman.watch(filters=filters) as events:
                await until_removed(events, await live(podman))
                await die(podman)
                await until_removed(events, await live(podman))
                await die(podman)
                last = await live(podman)
                await until_removed(events, last)
        async with podman.events(filters=filters, stream=False, since=begun) as events:
            recorded = [event async for event in events]

    # Podman's cleanup after a container may be recorded once it is removed.
    late = [each for each in recorded if each not in watched]
    assert {each.action for each in late} <= {"cleanup"}
    assert {each.actor.id for each in late} <= {last}
    assert all(watched.count(each) == 1 for each in recorded if each not in late)
    assert len(watched) == len(recorded) - len(late)
    assert [each.action for each in watched].count("died") == 3


async def test_a_pod_of_which_a_container_cannot_start_is_an_error(
    podman: Podman, busybox: str
) -> None:
    async with pod(podman, PodSpec(name=NAME)):
        spec = ContainerSpec(image=busybox, command=("/no/such/program",), pod=NAME)
        await podman.containers.create(spec)
        with pytest.raises(APIError):
            await podman.pods.start(NAME)
