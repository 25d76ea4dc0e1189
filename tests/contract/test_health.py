"""Health checks of real podmans, and containers in the network namespace of another one."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import (
    APIError,
    Conflict,
    ContainerSpec,
    HealthCheck,
    NotFound,
    Podman,
    ServerError,
    Stream,
)
from tests.contract.running import created, printed, shell
from tests.rig import libpod
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

pytestmark = pytest.mark.anyio


def checked(image: str, *command: str) -> ContainerSpec:
    """A container that waits, with a health check."""
    return ContainerSpec(
        image=image, command=("sleep", "60"), health_check=HealthCheck(command=command)
    )


@pytest.mark.also_fake
@pytest.mark.parametrize(
    ("script", "healthy", "output"),
    [
        ("echo well", True, "well"),
        ("echo out; echo err >&2; exit 3", False, "out\nerr"),
    ],
)
async def test_a_check_tells_whether_it_ended_with_0_and_what_it_printed(
    podman: Podman, busybox: str, script: str, healthy: bool, output: str
) -> None:
    async with created(podman, checked(busybox, "sh", "-c", script)) as container:
        await container.start()
        assert await container.check_health() is healthy
        (result,) = (await container.inspect()).state.health.log

    assert (result.exit_code, result.output.strip()) == (int(not healthy), output)


@pytest.mark.also_fake
async def test_of_what_a_check_prints_the_beginning_is_kept(podman: Podman, busybox: str) -> None:
    async with created(podman, checked(busybox, "seq", "10000")) as container:
        await container.start()
        assert await container.check_health()
        (result,) = (await container.inspect()).state.health.log

    assert result.output.startswith("1\n2\n")
    assert len(result.output) <= 500


@pytest.mark.also_fake
async def test_a_check_whose_program_is_not_there_fails(podman: Podman, busybox: str) -> None:
    async with created(podman, checked(busybox, "/no/such/program")) as container:
        await container.start()
        assert not await container.check_health()


@pytest.mark.also_fake
async def test_a_container_that_does_not_run_is_not_checked(podman: Podman, busybox: str) -> None:
    async with created(podman, checked(busybox, "true")) as container:
        with pytest.raises(APIError, match="not running"):
            await container.check_health()


@pytest.mark.also_fake
async def test_a_check_may_be_a_line_for_the_shell(podman: Podman, busybox: str) -> None:
    spec = replace(checked(busybox, "true"), health_check=HealthCheck(command="exit $((2 - 2))"))
    async with created(podman, spec) as container:
        await container.start()
        assert await container.check_health()


@pytest.mark.also_fake
async def test_a_container_is_starting_until_it_was_seen_to_work_or_failed_too_often(
    podman: Podman, busybox: str
) -> None:
    check = HealthCheck(command="test -e /tmp/works", retries=2)
    spec = replace(checked(busybox, "true"), name="barasync-health", health_check=check)
    seen = []
    async with created(podman, replace(spec, labels={"barasync-test": "health"})) as container:
        await container.start()
        for _ in range(3):
            seen.append((await container.inspect()).state.health.status)
            await container.check_health()
        (listed,) = await podman.containers.list(labels={"barasync-test": "health"})
        found = await container.inspect()

    assert seen == ["starting", "starting", "unhealthy"]
    assert (listed.health, found.state.health.status) == ("unhealthy", "unhealthy")
    assert (found.state.health.failing_streak, len(found.state.health.log)) == (3, 3)
    assert found.config.health_check is not None
    assert (found.config.health_check.checks, found.config.health_check.retries) == (True, 2)


async def test_failures_in_the_start_period_do_not_count(podman: Podman, busybox: str) -> None:
    check = HealthCheck(command="false", retries=1, start_period=600)
    async with created(podman, replace(checked(busybox, "true"), health_check=check)) as container:
        await container.start()
        for _ in range(2):
            assert not await container.check_health()
        health = (await container.inspect()).state.health

    assert (health.status, health.failing_streak) == ("starting", 0)


async def test_health_timeout_is_500__so_a_check_that_takes_too_long_fails_and_is_not_asked_again(
    podman: Podman, busybox: str
) -> None:
    check = HealthCheck(command="sleep 2", timeout=0.2)
    async with created(podman, replace(checked(busybox, "true"), health_check=check)) as container:
        await container.start()
        before = anyio.current_time()
        assert not await container.check_health()
        seconds = anyio.current_time() - before
        health = (await container.inspect()).state.health

    assert seconds >= 2
    assert [each.exit_code for each in health.log] == [-1]


@pytest.mark.also_fake
async def test_a_container_without_a_check_has_no_health(podman: Podman, busybox: str) -> None:
    spec = replace(checked(busybox, "true"), health_check=None, labels={"barasync-test": "none"})
    async with created(podman, spec) as container:
        await container.start()
        with pytest.raises(Conflict, match="no defined healthcheck"):
            await container.check_health()
        (listed,) = await podman.containers.list(labels={"barasync-test": "none"})
        found = await container.inspect()

    assert (listed.health, found.state.health.status) == ("", "")
    assert found.config.health_check is None


async def test_a_container_may_be_without_the_check_of_its_image(
    podman: Podman, service: RigService, busybox: str
) -> None:
    image = libpod.image_with_a_check(service.endpoint.socket_path, busybox, "true")
    try:
        spec = ContainerSpec(image=image, command=("sleep", "60"))
        async with created(podman, spec) as container:
            await container.start()
            assert await container.check_health()
        async with created(podman, replace(spec, no_health_check=True)) as container:
            await container.start()
            with pytest.raises(Conflict, match="no defined healthcheck"):
                await container.check_health()
            found = await container.inspect()
    finally:
        await podman.images.remove(image)

    assert found.config.health_check is None or not found.config.health_check.checks


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs on this host")
async def test_health_checks_need_systemd__so_without_it_there_are_those_that_are_asked_for(
    podman: Podman, busybox: str
) -> None:
    check = HealthCheck(command="true", interval=0.2)
    spec = ContainerSpec(image=busybox, command=("sleep", "60"), health_check=check)
    async with created(podman, spec) as container:
        await container.start()
        assert await container.check_health()
        # Its intervals pass meanwhile: the first process does not mind the signal.
        await container.stop(timeout=2)
        health = (await container.inspect()).state.health

    assert [each.exit_code for each in health.log] == [0]


@pytest.mark.also_fake
async def test_a_container_that_runs_gets_another_name(podman: Podman, busybox: str) -> None:
    one = replace(checked(busybox, "true"), name="barasync-one")
    async with (
        created(podman, one) as container,
        created(podman, replace(one, name="barasync-two")),
    ):
        await container.start()
        await container.rename("barasync-three")
        await container.rename("barasync-three")
        with pytest.raises(Conflict, match=r"in use|UNIQUE"):
            await container.rename("barasync-two")
        names = {name for each in await podman.containers.list() for name in each.names}
        found = await container.inspect()
        with pytest.raises(NotFound):
            await podman.containers.handle("barasync-one").inspect()

    assert (found.name, found.state.status) == ("barasync-three", "running")
    assert "barasync-three" in names


async def test_nothing_is_left_of_a_check_that_was_given_up(podman: Podman, busybox: str) -> None:
    async with created(podman, checked(busybox, "sleep", "50")) as container:
        await container.start()
        with anyio.move_on_after(0.3) as waiting:
            await container.check_health()
        assert waiting.cancelled_caught

    def gone() -> bool:
        shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, check=True)
        return container.id.encode() not in shown.stdout

    # Of an exec session processes stay for five minutes; podman's own cleanup is soon over.
    await to_thread.run_sync(wait_until, gone, "no process has the container's ID")


async def hosts_file(text: str) -> AsyncIterator[bytes]:
    """An archive of a file `hosts`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("hosts")
        member.size, member.mode = len(text), 0o644
        archive.addfile(member, io.BytesIO(text.encode()))
    yield buffer.getvalue()


@pytest.mark.parametrize("network", ["none", "bridge"])
async def test_joined_container_has_no_hosts__but_those_that_were_put_into_it(
    podman: Podman, busybox: str, network: str
) -> None:
    owner = ContainerSpec(image=busybox, command=("sleep", "60"), network=network)
    async with created(podman, owner) as other:
        await other.start()
        script = "cat /etc/hosts; wget -q -O - http://db:1/ 2>&1 | grep -o 'host (.*'"
        spec = replace(shell(busybox, script), network=f"container:{other.id}", image_hosts=True)
        with pytest.raises(ServerError, match="extra host entries"):
            await podman.containers.create(
                replace(spec, image_hosts=False, extra_hosts={"db": "127.0.0.1"})
            )
        async with created(podman, spec) as container:
            await container.put_archive("/etc", hosts_file("127.0.0.1 db\n"))
            output = await printed(container)

    assert output[Stream.STDOUT] == b"127.0.0.1 db\nhost (127.0.0.1): Connection refused\n"
