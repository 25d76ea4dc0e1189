"""The table of quirks against real podmans: each trap as it is, or the way around it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import replace

import anyio
import pytest

from barasync.aiopodman import (
    Conflict,
    Container,
    ContainerSpec,
    Mount,
    NotFound,
    OutputLost,
    Podman,
    Quirk,
    Rlimit,
    ServerError,
    Stream,
    StreamTruncated,
    quirks,
    remove_persistently,
    whole_log,
)
from tests.contract.running import created, ended, finish, run, shell
from tests.rig import libpod
from tests.rig.monitor import Monitor
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024**2
NO_NETWORK = {"netns": {"nsmode": "none"}}


def has(podman: Podman, quirk: Quirk) -> bool:
    return quirk in quirks.active(podman.version)


@pytest.mark.also_fake
async def test_wait_polls__waiting_ends_soon_after_the_container(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "echo ready; sleep 1000")) as container:
        async with container.start_attached() as chunks:
            await anext(chunks)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(container.wait)
                await container.kill()
            assert await container.wait() == 137


@pytest.mark.also_fake
async def test_log_headers_late__a_silent_container_can_be_followed(
    service: RigService, busybox: str
) -> None:
    async with (
        Podman(service.endpoint, timeout=1) as impatient,
        created(impatient, shell(busybox, "sleep 2; echo late")) as container,
    ):
        await container.start()
        async with container.logs(follow=True) as chunks:
            assert b"".join([chunk.data async for chunk in chunks]) == b"late\n"


async def test_tail_cuts_a_line__an_old_podman_begins_with_the_last_piece(
    podman: Podman, busybox: str
) -> None:
    script = "printf begun; sleep 0.3; echo ' and ended'"
    async with created(podman, shell(busybox, script)) as container:
        await finish(container)
        async with container.logs(tail=1) as chunks:
            cut = b"".join([chunk.data async for chunk in chunks])
        async with whole_log(container, tail=1) as chunks:
            whole = b"".join([chunk.data async for chunk in chunks])

    assert cut == b" and ended\n"
    assert whole == b"begun and ended\n"


async def test_shared_volume_deadlock__many_containers_share_a_new_volume(
    podman: Podman, service: RigService, busybox: str
) -> None:
    volume = "barasync-test-shared"
    spec = replace(shell(busybox, "true"), mounts=(Mount(volume, "/cache"),))

    async def create() -> None:
        async with created(podman, spec):
            pass

    try:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(create)
    finally:
        libpod.request(service.endpoint.socket_path, "DELETE", f"volumes/{volume}")


async def test_oom_killed_unset__an_old_podman_does_not_say_that_memory_ran_out(
    podman: Podman, busybox: str
) -> None:
    spec = replace(shell(busybox, "tail /dev/zero"), memory_bytes=16 * MEBIBYTE)

    state = (await run(podman, spec)).state.state

    assert state.exit_code == 137
    assert state.oom_killed is not has(podman, quirks.OOM_KILLED_UNSET)


@pytest.mark.also_fake
async def test_image_missing_is_500__it_is_not_found_all_the_same(podman: Podman) -> None:
    with pytest.raises(NotFound) as caught:
        await podman.containers.create(ContainerSpec(image="f" * 64))

    expected = 500 if has(podman, quirks.IMAGE_MISSING_IS_500) else 404
    assert caught.value.status == expected


@pytest.mark.also_fake
async def test_wrong_state_is_500__it_is_a_conflict_all_the_same(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        with pytest.raises(Conflict) as caught:
            await container.kill()

    expected = 500 if has(podman, quirks.WRONG_STATE_IS_500) else 409
    assert caught.value.status == expected


async def test_attach_misses_output__what_conmon_never_passed_on_is_read_from_the_log(
    podman: Podman, service: RigService, busybox: str
) -> None:
    script = "echo one; printf '\\000\\377 two' >&2; exit 3"

    async with (
        created(podman, shell(busybox, script)) as container,
        anyio.create_task_group() as group,
    ):
        await container.init()
        with Monitor.in_place_of_conmon(service, container) as monitor:
            group.start_soon(ignore_until_it_ends, container, monitor)
            result = await finish(container)

    assert (result.stdout, result.stderr) == (b"one\n", b"\0\377 two")
    assert result.state.state.exit_code == 3


async def test_attach_misses_output__a_beginning_that_conmon_did_not_pass_on_is_an_error(
    podman: Podman, service: RigService, busybox: str
) -> None:
    async with created(podman, shell(busybox, "echo one; echo two")) as container:
        await container.init()
        with Monitor.in_place_of_conmon(service, container) as monitor:
            async with container.start_attached() as chunks:
                await container.wait()
                monitor.pass_on(Stream.STDOUT, b"two\n")
                assert (await anext(chunks)).data == b"two\n"
                with pytest.raises(OutputLost, match="first 4 bytes of stdout"):
                    await anext(chunks)


async def ignore_until_it_ends(container: Container, monitor: Monitor) -> None:
    """Do as a monitor does that learns of the connection when the container has ended."""
    await container.wait(("exited", "stopped"))
    monitor.close()


@pytest.mark.also_fake
async def test_attach_reinitialises__attaching_after_the_end_loses_the_exit_code(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "exit 7")) as container:
        assert (await finish(container)).state.state.exit_code == 7
        # Conmon's `podman container cleanup` would end what attaching starts anew.
        await container.wait(("exited",))

        async with container.attach():
            state = (await container.inspect()).state

    assert not state.ended
    assert state.exit_code == 0


@pytest.mark.also_fake
async def test_slow_reader_freezes__a_container_stands_still_until_it_is_read(
    podman: Podman, busybox: str
) -> None:
    size = 12 * MEBIBYTE

    async with created(podman, shell(busybox, f"head -c {size} /dev/zero")) as container:
        async with container.start_attached() as chunks:
            with anyio.move_on_after(1) as unread:
                await container.wait()
            received = sum([len(chunk.data) async for chunk in chunks])

        assert unread.cancelled_caught
        assert received == size
        assert (await ended(container)).state.exit_code == 0


@pytest.mark.also_fake
async def test_slow_reader_freezes__a_container_is_removed_once_attach_is_left(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "while :; do echo line; done")) as container:
        async with container.start_attached() as chunks:
            await anext(chunks)
        with anyio.fail_after(4):
            await container.remove(force=True, timeout=0)


async def test_archive_ends_cleanly__a_removal_meanwhile_is_noticed(
    podman: Podman, busybox: str
) -> None:
    script = f"""
        mkdir /tmp/many
        for number in $(seq 300); do head -c {MEBIBYTE} /dev/zero > /tmp/many/$number; done
    """

    async with created(podman, shell(busybox, script)) as container:
        await finish(container)
        async with container.archive("/tmp/many") as data:
            await anext(data)
            await container.remove(force=True, timeout=0)
            with pytest.raises(StreamTruncated):
                [piece async for piece in data]


@pytest.mark.also_fake
async def test_archive_races_cleanup__an_archive_right_after_the_end_is_whole(
    podman: Podman, busybox: str
) -> None:
    limiter = anyio.CapacityLimiter(8)
    archives: list[bytes] = []

    async def cell() -> None:
        async with limiter, created(podman, shell(busybox, "echo result > tmp/out")) as container:
            await finish(container)
            async with container.archive("/tmp/out") as data:
                archives.append(b"".join([piece async for piece in data]))

    async with anyio.create_task_group() as group:
        for _ in range(24):
            group.start_soon(cell)

    assert len(archives) == 24
    assert all(b"result" in archive for archive in archives)


@pytest.mark.also_fake
async def test_timeout_exits_minus_one__the_output_so_far_is_kept(
    podman: Podman, busybox: str
) -> None:
    spec = replace(shell(busybox, "echo so far; sleep 1000"), timeout=1)

    with anyio.fail_after(10):
        result = await run(podman, spec)

    assert result.stdout == b"so far\n"
    assert result.state.state.exit_code == -1


async def test_rlimits_replace_defaults__one_limit_changes_another(
    podman: Podman, service: RigService, busybox: str
) -> None:
    limited = replace(shell(busybox, "true"), rlimits=(Rlimit("nofile", 1000, 1000),))

    async with created(podman, limited) as container:
        path = f"containers/{container.id}/json"
        found = libpod.request(service.endpoint.socket_path, "GET", path)

    limits = {limit["Name"]: limit["Hard"] for limit in found["HostConfig"]["Ulimits"]}
    assert limits["RLIMIT_NOFILE"] == 1000
    replaced = limits.get("RLIMIT_NPROC") == 1024 * 1024
    assert replaced is has(podman, quirks.RLIMITS_REPLACE_DEFAULTS)


async def test_rlimits_replace_defaults__limits_that_are_given_are_kept(
    podman: Podman, busybox: str
) -> None:
    limits = (Rlimit("nofile", 1000, 1000), Rlimit("nproc", 2000, 2000))
    script = "grep -E 'processes|open files' /proc/self/limits"

    result = await run(podman, replace(shell(busybox, script), rlimits=limits))

    hard_limits = {line.split()[-2] for line in result.stdout.splitlines()}
    assert hard_limits == {b"1000", b"2000"}


async def test_volume_labels_are_any__volumes_carry_every_label_that_was_asked_for(
    podman: Podman, service: RigService
) -> None:
    name = "barasync-test-labels"
    both = {"test.a": "1", "test.b": "3"}
    await podman.volumes.create(name, labels={"test.a": "1", "test.b": "2"})
    try:
        wanted = [f"{label}={value}" for label, value in both.items()]
        query = {"filters": json.dumps({"label": wanted})}
        raw = libpod.request(service.endpoint.socket_path, "GET", "volumes/json", query=query)
        found = await podman.volumes.list(labels={**both})
    finally:
        await podman.volumes.remove(name)

    assert bool(raw) is has(podman, quirks.VOLUME_LABELS_ARE_ANY)
    assert found == []


async def test_image_labels_exclude__images_carry_every_label_that_was_asked_for(
    podman: Podman, service: RigService, busybox: str
) -> None:
    wanted = {"test.a": "1", "test.b": "2"}
    changes = [f"LABEL {name}={value}" for name, value in wanted.items()]
    async with created(podman, shell(busybox, "true")) as container:
        image = await container.commit(
            repository="localhost/barasync-test/labels", tag="1", changes=changes
        )
    try:
        labels = [f"{label}={value}" for label, value in wanted.items()]
        query = {"filters": json.dumps({"label": labels})}
        raw = libpod.request(service.endpoint.socket_path, "GET", "images/json", query=query)
        found = await podman.images.list(labels={**wanted})
        other = await podman.images.list(labels={**wanted, "test.b": "3"})
    finally:
        await podman.images.remove(image)

    assert (raw == []) is has(podman, quirks.IMAGE_LABELS_EXCLUDE)
    assert [each.id for each in found] == [image]
    assert other == []


async def test_wait_of_unstarted_is_zero__such_a_container_has_not_ended(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "exit 7")) as container:
        with anyio.fail_after(5):
            assert await container.wait() == 0
        assert not (await container.inspect()).state.ended


async def kill_monitor(service: RigService, container: Container) -> None:
    """Kill the conmon of a running container, and wait until it is gone."""
    path = f"containers/{container.id}/json"
    found = libpod.request(service.endpoint.socket_path, "GET", path)
    monitor = os.pidfd_open(int(await anyio.Path(found["ConmonPidFile"]).read_text()))
    try:
        signal.pidfd_send_signal(monitor, signal.SIGKILL)
        await anyio.wait_readable(monitor)
    finally:
        os.close(monitor)


async def test_dead_monitor_looks_alive__such_a_container_has_not_ended(
    podman: Podman, service: RigService, busybox: str
) -> None:
    async with created(podman, shell(busybox, "sleep 1000")) as container:
        await container.start()
        await kill_monitor(service, container)
        with anyio.move_on_after(2) as waiting:
            assert await container.wait() == 0
        state = (await container.inspect()).state
        await remove_persistently(container)

    assert waiting.cancelled_caught is not has(podman, quirks.DEAD_MONITOR_LOOKS_ALIVE)
    assert not state.ended


async def test_dead_monitor_looks_alive__a_living_one_names_its_container(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "sleep 1000")) as container:
        await container.start()
        pid = (await container.inspect()).state.conmon_pid
        words = (await anyio.Path(f"/proc/{pid}/cmdline").read_bytes()).split(b"\0")

    assert container.id.encode() in words


async def test_removal_fails_without_monitor__it_succeeds_at_last(
    podman: Podman, service: RigService, busybox: str
) -> None:
    async with created(podman, shell(busybox, "sleep 1000")) as container:
        await container.start()
        await kill_monitor(service, container)
        with contextlib.ExitStack() as stack:
            if has(podman, quirks.REMOVAL_FAILS_WITHOUT_MONITOR):
                stack.enter_context(pytest.raises(ServerError, match="conmon exited prematurely"))
            await container.remove(force=True, timeout=0)
        await remove_persistently(container)

        with pytest.raises(NotFound):
            await container.inspect()


async def test_oom_killed_for_any__a_command_that_goes_on_keeps_its_exit_code(
    podman: Podman, busybox: str
) -> None:
    spec = replace(shell(busybox, "tail /dev/zero; exit 3"), memory_bytes=16 * MEBIBYTE)

    state = (await run(podman, spec)).state.state

    assert state.exit_code == 3
    assert state.oom_killed is has(podman, quirks.OOM_KILLED_FOR_ANY)


async def test_timeout_is_whole_seconds__a_fraction_is_refused(
    service: RigService, busybox: str
) -> None:
    body = {"image": busybox, "command": ["true"], "timeout": 1.5}

    with pytest.raises(libpod.RefusedError, match=r"500 .*cannot unmarshal number 1\.5"):
        libpod.request(service.endpoint.socket_path, "POST", "containers/create", body=body)


async def test_command_is_demanded__an_image_without_one_may_be_refused(
    podman: Podman, busybox: str
) -> None:
    with contextlib.ExitStack() as stack:
        if has(podman, quirks.COMMAND_IS_DEMANDED):
            stack.enter_context(pytest.raises(ServerError, match="no command or entrypoint"))
        async with created(podman, ContainerSpec(image=busybox)):
            pass


async def test_auto_remove_loses_the_code__who_asks_after_the_end_finds_nothing(
    podman: Podman, service: RigService, busybox: str
) -> None:
    body = {"image": busybox, "command": ["sh", "-c", "exit 7"], "remove": True, **NO_NETWORK}
    socket_path = service.endpoint.socket_path
    key = libpod.request(socket_path, "POST", "containers/create", body=body)["Id"]

    container = podman.containers.handle(key)
    async with podman.events(filters={"container": [key], "event": ["remove"]}) as events:
        await container.start()
        await anext(events)

    with pytest.raises(NotFound):
        await container.inspect()


@pytest.mark.whole_host
async def test_removal_waits__with_a_timeout_of_0_it_does_not(
    podman: Podman, service: RigService, busybox: str
) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    command = ["sh", "-c", script]
    body = {"image": busybox, "command": command, "stop_timeout": 2, **NO_NETWORK}
    took = []
    for patience in (None, 0):
        key = libpod.request(service.endpoint.socket_path, "POST", "containers/create", body=body)
        container = podman.containers.handle(key["Id"])
        async with container.start_attached() as chunks:
            await anext(chunks)
        started = anyio.current_time()
        await container.remove(force=True, timeout=patience)
        took.append(anyio.current_time() - started)

    assert took[0] >= 2 > took[1]


async def test_anonymous_volumes_stay__unless_they_are_removed_with_the_container(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        image = await container.commit(
            repository="localhost/barasync-test/volume", tag="1", changes=["VOLUME /data"]
        )
    before = {volume.name for volume in await podman.volumes.list()}
    left = []
    try:
        for volumes in (False, True):
            container = await podman.containers.create(shell(image, "true"))
            await container.remove(force=True, timeout=0, volumes=volumes)
            left.append({volume.name for volume in await podman.volumes.list()} - before)
            for name in left[-1]:
                await podman.volumes.remove(name)
    finally:
        await podman.images.remove(image)

    assert [len(names) for names in left] == [1, 0]
