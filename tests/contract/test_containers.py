"""Containers, through the client alone: what podman does, and the fake after it."""

from __future__ import annotations

import datetime as dt
import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from barasync.aiopodman import (
    Chunk,
    CommandNotFound,
    Conflict,
    ContainerSpec,
    NotFound,
    OCIRuntimeError,
    Podman,
    ServerError,
    Stream,
)
from tests.contract.running import created, ended, finish, printed, run, shell

pytestmark = [pytest.mark.anyio, pytest.mark.also_fake]

CONTAINERS = 100
LINES = 20
AT_ONCE = 8
# Without the way around, 4.3.1 refuses about every fifth.
REMOVED_AT_THEIR_END = 40
LABEL = "barasync.test"

PRINT_LINES = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done"
EXPECTED_LINES = b"".join(b"line %d\n" % number for number in range(LINES))


async def in_pieces(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def members(archive: AsyncIterator[bytes]) -> dict[str, tarfile.TarInfo]:
    data = b"".join([piece async for piece in archive])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


# Output


async def test_the_output_of_quick_containers_is_complete_and_in_order(
    podman: Podman, busybox: str
) -> None:
    limiter = anyio.CapacityLimiter(AT_ONCE)
    outputs: list[bytes] = []

    async def cell() -> None:
        async with limiter, created(podman, shell(busybox, PRINT_LINES)) as container:
            outputs.append((await printed(container))[Stream.STDOUT])

    async with anyio.create_task_group() as group:
        for _ in range(CONTAINERS):
            group.start_soon(cell)

    wrong = [output for output in outputs if output != EXPECTED_LINES]
    assert len(outputs) == CONTAINERS
    assert not wrong, f"{len(wrong)} of {len(outputs)} were incomplete, such as {wrong[0]!r}"


async def test_stdout_and_stderr_are_kept_apart(podman: Podman, busybox: str) -> None:
    result = await run(podman, shell(busybox, "echo out; echo err >&2; echo more"))

    assert result.stdout == b"out\nmore\n"
    assert result.stderr == b"err\n"


async def test_output_that_is_not_text_or_lines_arrives_as_it_is(
    podman: Podman, busybox: str
) -> None:
    result = await run(podman, shell(busybox, r"printf '\000\001\377'; head -c 300000 /dev/zero"))

    assert result.stdout == b"\0\1\xff" + bytes(300_000)


async def test_output_can_be_read_again_from_the_logs(podman: Podman, busybox: str) -> None:
    async with created(podman, shell(busybox, "echo one; echo err >&2; echo two")) as container:
        await finish(container)

        everything = await logged(container.logs())
        errors = await logged(container.logs(stdout=False))
        last = await logged(container.logs(tail=1))
        later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        none = await logged(container.logs(since=later))

    assert everything == {Stream.STDOUT: b"one\ntwo\n", Stream.STDERR: b"err\n"}
    assert errors == {Stream.STDERR: b"err\n"}
    assert list(last.values()) in ([b"two\n"], [b"err\n"])
    assert none == {}


async def logged(
    logs: AbstractAsyncContextManager[AsyncIterator[Chunk]],
) -> dict[Stream, bytes]:
    """Return what is in the logs by stream: the order between the two is not kept."""
    found: dict[Stream, bytes] = {}
    async with logs as chunks:
        async for chunk in chunks:
            found[chunk.stream] = found.get(chunk.stream, b"") + chunk.data
    return found


async def test_leaving_attach_early_lets_the_container_finish(podman: Podman, busybox: str) -> None:
    async with created(podman, shell(busybox, "echo first; sleep 0.2; exit 5")) as container:
        async with container.attach() as chunks:
            await container.start()
            await anext(chunks)

        assert await container.wait() == 5


# Ends


@pytest.mark.parametrize(
    ("script", "code"), [("true", 0), ("exit 3", 3), ("no-such-command", 127), ("exit 137", 137)]
)
async def test_the_exit_code_is_the_commands_own(
    podman: Podman, busybox: str, script: str, code: int
) -> None:
    result = await run(podman, shell(busybox, script))

    assert result.state.state.exit_code == code


async def test_a_container_that_is_killed_exits_with_137(podman: Podman, busybox: str) -> None:
    async with created(podman, shell(busybox, "echo ready; sleep 1000")) as container:
        async with container.start_attached() as chunks:
            await anext(chunks)
            await container.kill()
            assert [chunk async for chunk in chunks] == []

        assert (await ended(container)).state.exit_code == 137
        assert await container.wait() == 137


async def test_stop_asks_before_it_kills(podman: Podman, busybox: str) -> None:
    spec = shell(busybox, "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")

    async with created(podman, spec) as container:
        async with container.start_attached() as chunks:
            await anext(chunks)
            await container.stop(timeout=10)

        assert (await ended(container)).state.exit_code == 9
        await container.stop()


async def test_removal_with_no_grace_does_not_wait_for_who_ignores_term(
    podman: Podman, busybox: str
) -> None:
    spec = shell(busybox, "trap '' TERM; echo ready; while :; do sleep 1; done")

    async with created(podman, spec) as container:
        async with container.start_attached() as chunks:
            await anext(chunks)
        with anyio.fail_after(2):
            await container.remove(force=True, timeout=0, volumes=True)

        with pytest.raises(NotFound):
            await container.inspect()
        await container.remove(missing_ok=True)


async def test_removal_meets_the_end__it_is_not_refused(podman: Podman, busybox: str) -> None:
    async def remove_at_its_end() -> None:
        async with created(podman, shell(busybox, "true")) as container:
            await container.start()
            await container.remove(force=True, timeout=0, volumes=True)
            with pytest.raises(NotFound):
                await container.inspect()

    for _ in range(REMOVED_AT_THEIR_END // AT_ONCE):
        async with anyio.create_task_group() as group:
            for _ in range(AT_ONCE):
                group.start_soon(remove_at_its_end)


# Refusals


async def test_an_unknown_image_is_not_found(podman: Podman) -> None:
    with pytest.raises(NotFound):
        await podman.containers.create(ContainerSpec(image="sha256:" + "0" * 64))


async def test_killing_what_does_not_run_is_a_conflict(podman: Podman, busybox: str) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        with pytest.raises(Conflict):
            await container.kill()


async def test_a_name_in_use_is_a_conflict(podman: Podman, busybox: str) -> None:
    spec = ContainerSpec(image=busybox, command=("true",), name="barasync-test-twice")

    async with created(podman, spec):
        with pytest.raises(Conflict):
            await podman.containers.create(spec)


async def test_an_unknown_container_is_not_found_by_any_request(podman: Podman) -> None:
    nobody = podman.containers.handle("f" * 64)

    for request in (nobody.inspect, nobody.start, nobody.kill, nobody.wait, nobody.remove):
        with pytest.raises(NotFound):
            await request()
    for stream in (nobody.attach, nobody.logs):
        with pytest.raises(NotFound):
            async with stream():
                pytest.fail("the block must not be entered")


async def test_a_command_that_the_image_lacks_is_met_by_attach(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, ContainerSpec(image=busybox, command=("no-such",))) as container:
        with pytest.raises(CommandNotFound, match="no-such"):
            async with container.attach():
                pytest.fail("the block must not be entered")
        with pytest.raises(CommandNotFound):
            await container.start()


async def test_a_command_that_cannot_be_executed_is_met_by_init(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, ContainerSpec(image=busybox, command=("/etc",))) as container:
        with pytest.raises(OCIRuntimeError) as caught:
            await container.init()

    assert not isinstance(caught.value, CommandNotFound)


async def test_a_working_directory_that_is_missing_is_no_conflict(
    podman: Podman, busybox: str
) -> None:
    spec = ContainerSpec(image=busybox, command=("true",), work_dir="/missing")

    async with created(podman, spec) as container:
        with pytest.raises(ServerError, match="/missing"):
            async with container.attach():
                pytest.fail("the block must not be entered")


# Archives


def tree() -> bytes:
    """A tar archive of a small tree, with what artifacts are made of."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content, mode in (
            ("tree/program", b"#!/bin/sh\n", 0o755),
            ("tree/a/b/large", b"x" * 300_000, 0o644),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("tree/link")
        link.type, link.linkname = tarfile.SYMTYPE, "a/b/large"
        tar.addfile(link)
        empty = tarfile.TarInfo("tree/empty")
        empty.type, empty.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(empty)
    return buffer.getvalue()


async def test_a_tree_comes_back_from_a_container_as_it_was_put_there(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        await container.put_archive("/workspace", in_pieces(tree()))

        async with container.archive("/workspace/tree") as archive:
            found = await members(archive)
        async with container.archive("/workspace/tree/.") as archive:
            contents = await members(archive)

    assert set(found) == {
        *("tree", "tree/program", "tree/a", "tree/a/b", "tree/a/b/large", "tree/link"),
        "tree/empty",
    }
    assert found["tree/program"].mode & 0o777 == 0o755
    assert found["tree/a/b/large"].size == 300_000
    assert found["tree/link"].linkname == "a/b/large"
    assert found["tree/empty"].isdir()
    assert "program" in {name.removeprefix("./") for name in contents}


async def test_what_a_command_wrote_can_be_fetched_after_its_end(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "echo result > tmp/out; exit 1")) as container:
        await finish(container)

        async with container.archive("/tmp/out") as archive:
            assert (await members(archive))["out"].size == 7


async def test_an_archive_can_be_fetched_without_root(
    rootless_podman: Podman, rootless_busybox: str
) -> None:
    spec = shell(rootless_busybox, "echo result > /tmp/out")

    async with created(rootless_podman, spec) as container:
        await finish(container)
        async with container.archive("/tmp/out") as archive:
            assert (await members(archive))["out"].size == 7


async def test_a_path_that_is_missing_is_not_found(podman: Podman, busybox: str) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        with pytest.raises(NotFound):
            async with container.archive("/missing"):
                pytest.fail("the block must not be entered")


async def test_an_upload_that_is_no_archive_is_refused(podman: Podman, busybox: str) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        with pytest.raises(ServerError):
            await container.put_archive("/workspace", in_pieces(b"no archive" * 1000))


async def test_a_container_is_removed_at_once_after_a_cancelled_upload(
    podman: Podman, busybox: str
) -> None:
    async def known() -> set[str]:
        return {found.id for found in await podman.containers.list(all=True, external=True)}

    before = await known()

    for pause in (0.01, 0.03, 0.1, 0.2):
        async with created(podman, shell(busybox, "true")) as container:
            with anyio.move_on_after(pause) as upload:
                await container.put_archive("/tmp", unfinished(many_files()))

            await container.remove(force=True, timeout=0)
        assert upload.cancelled_caught

    assert await known() == before


def many_files() -> bytes:
    """Return an archive that podman needs some time for."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(6000):
            tar.addfile(tarfile.TarInfo(f"{number % 50}/{number}"))
    return buffer.getvalue()


async def unfinished(data: bytes) -> AsyncIterator[bytes]:
    async for piece in in_pieces(data):
        yield piece
    await anyio.sleep_forever()


# The collection


async def test_containers_are_found_by_label(podman: Podman, busybox: str) -> None:
    spec = ContainerSpec(image=busybox, command=("true",), labels={LABEL: "1", "other": "x"})

    async with created(podman, spec) as container:
        by_value = await podman.containers.list(labels={LABEL: "1"}, all=True)
        by_name = await podman.containers.list(labels={LABEL: None}, all=True)
        by_both = await podman.containers.list(labels={LABEL: "1", "other": "y"}, all=True)
        running = await podman.containers.list(labels={LABEL: "1"})

    assert [found.id for found in by_value] == [found.id for found in by_name] == [container.id]
    assert by_value[0].labels[LABEL] == "1"
    assert by_value[0].state == "created"
    assert by_both == []
    assert running == []


async def test_events_tell_what_became_of_a_container(podman: Podman, busybox: str) -> None:
    async with created(podman, shell(busybox, "exit 3")) as container:
        await finish(container)
        recently = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
        async with podman.events(filters={"container": [container.id]}, since=recently) as events:
            async for event in events:
                if event.action == "died":
                    break

    assert event.actor.id == container.id
    assert event.actor.attributes["containerExitCode"] == "3"


async def test_the_service_tells_what_it_is(podman: Podman) -> None:
    await podman.system.ping()
    version = await podman.system.version()
    info = await podman.system.info()
    networks = await podman.networks.list()

    assert version.version == str(podman.version)
    assert info.host.cpus > 0
    assert info.host.mem_total > 0
    assert info.host.oci_runtime.name == "crun"
    assert not info.host.security.rootless
    assert "podman" in [network.name for network in networks]
