"""Pods of real podmans: what is done to one is done to the containers in it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from barasync.aiopodman import (
    APIError,
    Conflict,
    Container,
    ContainerSpec,
    HostPort,
    NotFound,
    Podman,
    PodSpec,
    PublishedPort,
)
from tests.contract.running import REMOVE_SECONDS, TEST_SECONDS, shell
from tests.rig import libpod
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

pytestmark = pytest.mark.anyio

NAME = "barasync-test-pod"
LABEL = "barasync-test"
WAITING = "trap exit TERM; echo ready; while :; do sleep 0.1; done"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
SLOW = "trap 'sleep 3; exit 7' TERM; echo ready; while :; do sleep 0.1; done"


@asynccontextmanager
async def pod(podman: Podman, spec: PodSpec) -> AsyncIterator[None]:
    """A pod that is gone after the block, with all that is in it, whatever that does."""
    await podman.pods.create(spec)
    try:
        with anyio.fail_after(TEST_SECONDS):
            yield
    finally:
        with anyio.move_on_after(REMOVE_SECONDS, shield=True):
            # One after the other: removal gives what ignores its stop signal ten seconds.
            for member in await members(podman, spec.name):
                await member.remove(force=True, timeout=0, dependents=True, missing_ok=True)
            await podman.pods.remove(spec.name, force=True, missing_ok=True)


async def members(podman: Podman, name: str) -> list[Container]:
    """Return the containers of a pod that somebody has put there; none of one that is gone."""
    try:
        found = await podman.pods.inspect(name)
    except NotFound:
        return []
    return [podman.containers.handle(each.id) for each in found.members]


def waiting(image: str, **settings: str) -> ContainerSpec:
    return replace(shell(image, WAITING), **settings)  # type: ignore[arg-type] # texts


@asynccontextmanager
async def running(podman: Podman, *scripts: str, image: str) -> AsyncIterator[list[Container]]:
    """The containers of a pod, each of which has said something, so that its traps are set."""
    async with pod(podman, PodSpec(name=NAME)):
        made = [
            await podman.containers.create(replace(shell(image, script), pod=NAME))
            for script in scripts
        ]
        await podman.pods.start(NAME)
        for container in made:
            async with container.logs(follow=True) as chunks:
                await anext(chunks)
        yield made


async def exit_codes(containers: list[Container]) -> list[int]:
    """Wait for containers to end."""
    return [await container.wait() for container in containers]


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
    spec = PodSpec(name=NAME, infra_image=busybox, infra_command=("sh", "-c", WAITING))
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


async def test_a_pod_publishes_a_port_for_its_containers_and_gives_them_a_hostname(
    podman: Podman, busybox: str
) -> None:
    serving = "while :; do nc -l -p 7777 -e hostname; done"
    spec = PodSpec(
        name=NAME,
        infra_image=busybox,
        infra_command=("sh", "-c", WAITING),
        network="bridge",
        publish=(PublishedPort(7777, address="127.0.0.1"),),
        hostname="of-the-pod",
    )
    async with pod(podman, spec):
        await podman.containers.create(replace(shell(busybox, serving), pod=NAME, network="pod"))
        await podman.pods.start(NAME)
        found = await podman.pods.inspect(NAME)
        infra = await podman.containers.handle(found.infra_container_id).inspect()
        (published,) = infra.network_settings.ports["7777/tcp"]
        said = await anyio.to_thread.run_sync(hear, published)

    assert published.address == "127.0.0.1"
    assert said == b"of-the-pod\n"


def hear(port: HostPort) -> bytes:
    """Return what is said behind a port, once somebody listens there."""
    said: list[bytes] = []

    def something() -> bool:
        address = (port.address, int(port.port))
        with (
            contextlib.suppress(OSError),
            socket.create_connection(address, timeout=10) as connection,
            connection.makefile("rb") as stream,
        ):
            said.append(stream.read())
        return any(said)

    wait_until(something, "somebody listens behind the published port")
    return said[-1]


async def test_the_hostname_of_a_pod_is_its_name(podman: Podman, busybox: str) -> None:
    spec = PodSpec(name=NAME, infra_image=busybox, infra_command=("sh", "-c", WAITING))
    async with pod(podman, spec):
        container = await podman.containers.create(
            replace(shell(busybox, "hostname"), pod=NAME, network="pod")
        )
        await podman.pods.start(NAME)
        await container.wait()
        async with container.logs() as chunks:
            output = b"".join([chunk.data async for chunk in chunks])

    assert output == f"{NAME}\n".encode()


async def test_a_pod_stands_still_and_goes_on(podman: Podman, busybox: str) -> None:
    async with running(podman, WAITING, WAITING, image=busybox) as containers:
        await podman.pods.pause(NAME)
        paused = [(await each.inspect()).state.status for each in containers]
        state = (await podman.pods.inspect(NAME)).state
        await podman.pods.unpause(NAME)
        going = [(await each.inspect()).state.status for each in containers]

    assert (paused, state, going) == (["paused"] * 2, "Paused", ["running"] * 2)


async def test_a_container_in_a_pod_that_is_not_there_is_refused(
    podman: Podman, busybox: str
) -> None:
    with pytest.raises(NotFound):
        await podman.containers.create(waiting(busybox, pod=NAME))


async def test_killing_a_pod_ends_all_that_runs_in_it_at_once(podman: Podman, busybox: str) -> None:
    async with running(podman, STUBBORN, STUBBORN, image=busybox) as containers:
        await podman.pods.kill(NAME)
        codes = await exit_codes(containers)
        with pytest.raises(Conflict):
            await podman.pods.kill(NAME)

    assert codes == [137, 137]


async def test_a_signal_reaches_every_container_of_a_pod(podman: Podman, busybox: str) -> None:
    heeding = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done"
    async with running(podman, heeding, heeding, image=busybox) as containers:
        await podman.pods.kill(NAME, "SIGUSR1")

        assert await exit_codes(containers) == [9, 9]


async def test_pod_stop_wants_all__and_kill_ends_the_rest(podman: Podman, busybox: str) -> None:
    async with running(podman, "echo ready", WAITING, image=busybox) as (ended, going):
        await ended.wait()
        await podman.pods.stop(NAME, timeout=1)
        state = (await podman.pods.inspect(NAME)).state
        after_stop = (await going.inspect()).state.status
        await podman.pods.kill(NAME)
        code = await going.wait()

    assert (state, after_stop, code) == ("Degraded", "running", 137)


async def test_pod_stop_of_zero_is_ten__so_it_is_refused(
    podman: Podman, busybox: str, service: RigService
) -> None:
    """What ends three seconds after its stop signal is killed within 1 second, and not within 0."""
    async with running(podman, SLOW, image=busybox) as containers:
        await podman.pods.stop(NAME, timeout=1)
        within_one = await exit_codes(containers)
        await podman.pods.start(NAME)
        async with containers[0].logs(follow=True) as chunks:
            said = b""
            while said.count(b"ready") < 2:
                said += (await anext(chunks)).data
        await anyio.to_thread.run_sync(
            lambda: libpod.request(
                service.endpoint.socket_path, "POST", f"pods/{NAME}/stop", query={"t": "0"}
            )
        )
        within_none = await exit_codes(containers)
        with pytest.raises(ValueError, match="1 second at least"):
            await podman.pods.stop(NAME, timeout=0)

    assert (within_one, within_none) == ([137], [7])


async def test_a_pod_of_which_a_container_cannot_start_is_an_error(
    podman: Podman, busybox: str
) -> None:
    async with pod(podman, PodSpec(name=NAME)):
        spec = ContainerSpec(image=busybox, command=("/no/such/program",), pod=NAME)
        await podman.containers.create(spec)
        with pytest.raises(APIError):
            await podman.pods.start(NAME)
