"""What the fake can do to its clients, apart from what an engine makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import (
    ConnectError,
    Container,
    ContainerSpec,
    FrameError,
    NotFound,
    Podman,
    RequestTimeout,
    ServerError,
    StreamTruncated,
    TransportError,
    quirks,
)
from tests.fake.faults import (
    Dies,
    EndsAfter,
    Fault,
    Faults,
    Hangs,
    Inserts,
    MonitorDies,
    Refuses,
)
from tests.fake.service import FakeService

pytestmark = pytest.mark.anyio

SECONDS = 10
REFUSED = Refuses("no space left on device")


@pytest.fixture
async def podman(service: FakeService) -> AsyncIterator[Podman]:
    async with Podman(service.endpoint, timeout=0.5) as podman:
        yield podman


async def created(podman: Podman, service: FakeService, script: str) -> Container:
    image = service.image("localhost/cell")
    return await podman.containers.create(
        ContainerSpec(image=image, command=("sh", "-c", script), labels={"cell": "a"})
    )


def pipe_at(path: Path) -> str:
    """Return a script that prints a line, waits for a file, and prints another."""
    return f"echo one; while [ ! -e {path} ]; do sleep 0.01; done; echo two; exit 3"


# Which requests a fault befalls


def test_a_fault_befalls_so_many_requests_after_so_many_others() -> None:
    faults = Faults([Fault("start", REFUSED, skip=1, times=2)])

    struck = [faults.take("start", {}) is not None for _ in range(5)]

    assert struck == [False, True, True, False, False]


def test_a_fault_befalls_one_operation_of_containers_with_its_labels() -> None:
    faults = Faults([Fault("start", REFUSED, labels={"cell": "a"})])

    assert faults.take("start", {"cell": "a", "run": "1"}) is REFUSED
    assert faults.take("start", {"cell": "b"}) is None
    assert faults.take("kill", {"cell": "a"}) is None


async def test_an_error_is_podmans_and_heals(service: FakeService, podman: Podman) -> None:
    service.inject(Fault("start", REFUSED))
    container = await created(podman, service, "true")

    with pytest.raises(ServerError, match="no space left"):
        await container.start()
    service.heal()
    await container.start()


# The service dies


async def test_containers_outlive_a_service_that_dies_and_comes_back(
    service: FakeService, podman: Podman, tmp_path: Path
) -> None:
    container = await created(podman, service, pipe_at(tmp_path / "go"))
    async with container.attach() as chunks:
        await container.start()
        assert (await anext(chunks)).data == b"one\n"

        service.die()
        # An answer without a length that breaks off looks like one that has ended.
        assert [chunk async for chunk in chunks] == []
        with pytest.raises(ConnectError):
            await podman.system.ping()
    await anyio.Path(tmp_path / "go").touch()
    service.revive()

    with anyio.fail_after(SECONDS):
        assert await container.wait() == 3
    async with container.logs() as log:
        assert b"".join([chunk.data async for chunk in log]) == b"one\ntwo\n"


async def test_a_service_can_die_at_a_request_that_it_had_carried_out(
    service: FakeService, podman: Podman
) -> None:
    # Of one that came back the client would find what was made.
    service.inject(Fault("create", Dies(performed=True), skip=1))
    await created(podman, service, "true")

    with pytest.raises(TransportError):
        await created(podman, service, "true")

    service.revive()
    assert len(service.containers) == 2


async def test_a_service_that_dies_at_a_request_stays_away_until_it_is_revived(
    service: FakeService, podman: Podman
) -> None:
    service.inject(Fault("version", Dies(), times=1))

    with pytest.raises(TransportError):
        await podman.system.version()
    with pytest.raises(ConnectError):
        await podman.system.version()
    service.die()
    service.revive()

    assert (await podman.system.version()).version == service.version


async def test_a_connection_outlives_the_socket_that_it_came_through(
    service: FakeService, podman: Podman, tmp_path: Path
) -> None:
    container = await created(podman, service, pipe_at(tmp_path / "go"))
    async with container.attach() as chunks:
        await container.start()
        assert (await anext(chunks)).data == b"one\n"

        service.replace_socket()
        async with Podman(service.endpoint, timeout=0.5) as other:
            await other.system.ping()
        await anyio.Path(tmp_path / "go").touch()

        assert [chunk.data async for chunk in chunks] == [b"two\n"]


# The service is silent


async def test_a_connection_hangs_for_as_long_as_the_client_waits(
    service: FakeService, podman: Podman
) -> None:
    service.inject(Fault("start", Hangs(), times=1))
    container = await created(podman, service, "true")

    with pytest.raises(RequestTimeout):
        await container.start()
    await container.start()


async def test_a_connection_that_hangs_can_end(service: FakeService, podman: Podman) -> None:
    service.inject(Fault("init", Hangs(performed=True, seconds=0.01)))
    container = await created(podman, service, "true")

    with pytest.raises(TransportError, match="closed the connection"):
        await container.init()

    assert list(service.containers.values()) == ["initialized"]


# Streams


async def test_attach_can_end_early_while_the_container_goes_on(
    service: FakeService, podman: Podman, tmp_path: Path
) -> None:
    service.inject(Fault("attach", EndsAfter(12)))
    container = await created(podman, service, pipe_at(tmp_path / "go"))

    async with container.attach() as chunks:
        await container.start()
        assert [chunk.data async for chunk in chunks] == [b"one\n"]

    assert (await container.inspect()).state.status == "running"
    await anyio.Path(tmp_path / "go").touch()
    with anyio.fail_after(SECONDS):
        assert await container.wait() == 3


async def test_a_frame_can_have_a_header_that_is_none(service: FakeService, podman: Podman) -> None:
    service.inject(Fault("attach", Inserts(at=12)))
    container = await created(podman, service, "echo one")

    async with container.attach() as chunks:
        await container.start()
        assert (await anext(chunks)).data == b"one\n"
        with pytest.raises(FrameError):
            await anext(chunks)


async def test_an_archive_can_end_as_if_it_were_whole(service: FakeService, podman: Podman) -> None:
    service.inject(Fault("archive", EndsAfter(512)))
    container = await created(podman, service, "true")

    async with container.archive("/workspace") as data:
        with pytest.raises(StreamTruncated, match="after 512 bytes"):
            [piece async for piece in data]


async def test_a_container_without_a_monitor_is_said_to_run_for_ever(
    service: FakeService, podman: Podman
) -> None:
    service.inject(Fault("start", MonitorDies()))
    container = await created(podman, service, "true")

    async with container.attach() as chunks:
        await container.start()
        assert [chunk async for chunk in chunks] == []

    with anyio.fail_after(SECONDS):
        if quirks.DEAD_MONITOR_LOOKS_ALIVE.is_active(podman.version.release):
            assert await container.wait() == 0
        else:
            with pytest.raises(NotFound, match="no such exit code"):
                await container.wait()
    assert (await container.inspect()).state.status == "running"
    await container.remove(force=True, timeout=0)
    assert service.containers == {}
