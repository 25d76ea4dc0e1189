"""Exec sessions: further commands in a container that runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count

import anyio
import pytest

from barasync.aiopodman import (
    Attachment,
    CommandNotFound,
    Conflict,
    Container,
    ExecInspect,
    ExecSession,
    ExecSpec,
    NotFound,
    OCIRuntimeError,
    Podman,
    ServerError,
    Stream,
    quirks,
)
from tests.contract.running import TEST_SECONDS, created, shell
from tests.rig import leftovers
from tests.rig.services import RigService

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

AT_ONCE = 4
PIPED_BYTES = 20_000_000
# Podman leaves conmon, and the one that it forks.
MONITORS_OF_A_SESSION = 2
CAP_SYS_ADMIN = 1 << 21


@dataclass(frozen=True, slots=True)
class Executed:
    """What a command printed, and what podman says of it afterwards."""

    stdout: bytes
    stderr: bytes
    state: ExecInspect


@asynccontextmanager
async def running(
    podman: Podman, image: str, *, seconds: float = TEST_SECONDS
) -> AsyncIterator[Container]:
    """A container in which commands can be executed."""
    spec = shell(image, "trap 'exit 0' TERM; sleep 1000 & wait")
    async with created(podman, spec, seconds=seconds) as container:
        await container.start()
        yield container


async def execute(container: Container, spec: ExecSpec, stdin: bytes = b"") -> Executed:
    """Execute a command to its end."""
    session = await container.exec(spec)
    printed = dict.fromkeys(Stream, b"")
    async with session.attached() as attachment:
        if spec.stdin:
            await attachment.send(stdin)
            await attachment.close_stdin()
        async for chunk in attachment.output:
            printed[chunk.stream] += chunk.data
    return Executed(printed[Stream.STDOUT], printed[Stream.STDERR], await session.inspect())


def script(text: str) -> ExecSpec:
    """A script of the POSIX shell."""
    return ExecSpec(command=("sh", "-c", text))


async def test_streams_are_kept_apart_and_the_exit_code_is_the_commands(
    podman: Podman, busybox: str
) -> None:
    async with running(podman, busybox) as container:
        spec = replace(script("cat; echo err >&2; exit 7"), stdin=True)
        result = await execute(container, spec, b"in\n")
        good = await execute(container, script("true"))

    assert (result.stdout, result.stderr) == (b"in\n", b"err\n")
    assert (result.state.running, result.state.exit_code) == (False, 7)
    assert (good.stdout, good.state.exit_code) == (b"", 0)
    assert good.state.container_id == container.id


async def test_environment_user_and_directory_are_those_asked_for(
    podman: Podman, busybox: str
) -> None:
    spec = replace(
        script('echo "$(id -u):$(id -g) $(pwd) $A"'),
        env={"A": "1 = 2 ä"},
        user="1234:55",
        work_dir="/tmp",
    )
    async with running(podman, busybox) as container:
        result = await execute(container, spec)

    assert result.stdout.decode() == "1234:55 /tmp 1 = 2 ä\n"


async def test_without_stdin_there_is_nothing_to_read(podman: Podman, busybox: str) -> None:
    async with running(podman, busybox) as container:
        result = await execute(container, script("cat; echo over; test -t 0 || echo none"))

    assert result.stdout == b"over\nnone\n"


async def test_a_terminal_is_one_and_follows_its_size(podman: Podman, busybox: str) -> None:
    spec = replace(script("stty -echo; read -r x; stty size; exit 4"), terminal=True, stdin=True)

    async with running(podman, busybox) as container:
        session = await container.exec(spec)
        async with session.attached() as attachment:
            await session.resize(100, 33)
            await attachment.send(b"\n")
            chunks = [chunk async for chunk in attachment.output]
        state = await session.inspect()
        with pytest.raises(Conflict):
            await session.resize(80, 24)

    assert {chunk.stream for chunk in chunks} == {Stream.STDOUT}
    assert b"".join(chunk.data for chunk in chunks).split() == [b"33", b"100"]
    assert state.exit_code == 4


async def test_what_is_piped_arrives_whole_while_as_much_comes_back(
    podman: Podman, busybox: str
) -> None:
    spec = replace(script("tee /dev/stderr | sha256sum"), stdin=True)
    data = os.urandom(PIPED_BYTES)
    received, told = hashlib.sha256(), b""

    async def pipe(attachment: Attachment) -> None:
        await attachment.send(data)
        await attachment.close_stdin()

    async with running(podman, busybox) as container:
        session = await container.exec(spec)
        async with session.attached() as attachment, anyio.create_task_group() as group:
            group.start_soon(pipe, attachment)
            async for chunk in attachment.output:
                if chunk.stream is Stream.STDERR:
                    received.update(chunk.data)
                else:
                    told += chunk.data

    assert received.hexdigest() == hashlib.sha256(data).hexdigest()
    assert told.split()[0].decode() == received.hexdigest()


async def test_exec_refuses_in_output__so_that_becomes_the_error(
    podman: Podman, busybox: str
) -> None:
    missing = ExecSpec(command=("no-such-command",))
    nowhere = replace(script("true"), work_dir="/nowhere")

    async with running(podman, busybox) as container:
        for spec in (
            missing,
            replace(missing, terminal=True),
            nowhere,
            ExecSpec(command=("no\nsuch\ncommand",)),
            # More than 4 KiB of podman's text, in a path that the kernel takes.
            ExecSpec(command=(f"/{'a/' * 2030}a",)),
        ):
            with pytest.raises(CommandNotFound):
                await execute(container, spec)
        for word in ("/etc", f"/{'a' * 5000}"):
            with pytest.raises(OCIRuntimeError):
                await execute(container, ExecSpec(command=(word,)))
        with pytest.raises(CommandNotFound):
            await (await container.exec(missing)).start_detached()
        with pytest.raises(ServerError, match="no matching entries in passwd file"):
            await execute(container, replace(script("true"), user="nobody-such"))
        # What a command says of itself is its output.
        lie = b"Error: crun: x: OCI permission denied\n"
        said = await execute(container, script(f"printf '{lie.decode().strip()}\\n'; exit 3"))
        # It is heard while it runs, and waits for an answer.
        asking = replace(script("printf 'Error: go on? '; read -r x; echo $x"), stdin=True)
        session = await container.exec(asking)
        async with session.attached() as attachment:
            asked = await anext(attachment.output)
            await attachment.send(b"yes\n")
            answered = await anext(attachment.output)

    assert (said.stdout, said.state.exit_code) == (lie, 3)
    assert (asked.data, answered.data) == (b"Error: go on? ", b"yes\n")


async def test_nothing_is_executed_in_what_does_not_run(podman: Podman, busybox: str) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        with pytest.raises(Conflict):
            await container.exec(script("true"))
    with pytest.raises(NotFound):
        await container.exec(script("true"))

    async with running(podman, busybox) as container:
        session = await container.exec(script("true"))
        await container.stop(timeout=10)
        with pytest.raises(Conflict):
            async with session.attached():
                pytest.fail("it was started")
        with pytest.raises(Conflict):
            await container.exec(script("true"))


async def test_a_session_is_started_once(podman: Podman, busybox: str) -> None:
    async with running(podman, busybox) as container:
        session = await container.exec(script("true"))
        async with session.attached() as attachment:
            assert [chunk async for chunk in attachment.output] == []
        with pytest.raises(Conflict):
            async with session.attached():
                pytest.fail("it was started again")


async def test_exec_has_detach_keys__so_sessions_get_some_that_nobody_types(
    podman: Podman, busybox: str
) -> None:
    one = "dd bs=1 count=1 2>/dev/null | od -An -tx1"
    text = f"stty raw -echo; echo ready; {one}; {one}; {one}; {one}"
    spec = replace(script(text), terminal=True, stdin=True)

    async with running(podman, busybox) as container:
        session = await container.exec(spec)
        async with session.attached() as attachment:
            arrived = [await anext(attachment.output)]
            # One at a time: podman looks for keys in what it reads at once.
            for typed in (b"\x10", b"\x11", b"\x00x"):
                await attachment.send(typed)
                arrived.append(await anext(attachment.output))
            arrived += [chunk async for chunk in attachment.output]

    printed = b"".join(chunk.data for chunk in arrived)
    assert printed.split() == [b"ready", b"10", b"11", b"00", b"78"]


async def test_leaving_early_leaves_the_command_with_the_end_of_its_stdin(
    podman: Podman, busybox: str
) -> None:
    spec = replace(script("echo ready; cat; echo done >/tmp/done"), stdin=True)

    async with running(podman, busybox) as container:
        session = await container.exec(spec)
        async with session.attached() as attachment:
            await anext(attachment.output)
        with anyio.fail_after(30):
            await execute(container, script("until test -e /tmp/done; do sleep 0.05; done"))


async def test_the_output_of_a_command_that_closed_it_ends_with_the_command(
    podman: Podman, busybox: str
) -> None:
    """Nobody has to guess how long it goes on: it is over when it says no more."""
    text = "exec <&- >&- 2>&-; until test -e /tmp/go; do sleep 0.05; done; exit 7"

    async with running(podman, busybox) as container:
        for terminal in (False, True):
            session = await container.exec(replace(script(text), terminal=terminal, stdin=True))
            async with session.attached() as attachment:
                with anyio.move_on_after(1) as silence:
                    await anext(attachment.output, None)
                before = await session.inspect()
                await execute(container, script("touch /tmp/go"))
                with anyio.fail_after(30):
                    rest = [chunk async for chunk in attachment.output]
            after = await session.inspect()
            await execute(container, script("rm /tmp/go"))

            assert silence.cancelled_caught
            assert before.running
            assert (rest, after.running, after.exit_code) == ([], False, 7)


async def test_the_end_of_a_command_that_was_left_is_waited_for(
    podman: Podman, busybox: str
) -> None:
    text = "echo ready; until test -e /tmp/go; do sleep 0.05; done; exit 6"
    codes = []

    async def wait(session: ExecSession) -> None:
        codes.append(await session.wait())

    async with running(podman, busybox) as container:
        session = await container.exec(script(text))
        async with session.attached() as attachment:
            await anext(attachment.output)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(wait, session)
                assert (await session.inspect()).running
                await execute(container, script("touch /tmp/go"))

    assert codes == [6]
    with pytest.raises(NotFound):
        await session.wait()


async def test_exec_seems_to_run__when_it_was_started_detached(
    podman: Podman, busybox: str
) -> None:
    async with running(podman, busybox) as container:
        session = await container.exec(script("echo unread; touch /tmp/done; exit 5"))
        await session.start_detached()
        await execute(container, script("until test -e /tmp/done; do sleep 0.05; done"))
        if quirks.EXEC_SEEMS_TO_RUN.is_active(podman.version.release):
            assert (await session.inspect()).running
        else:
            assert await session.wait() == 5


async def test_exec_stays__where_no_request_removes_it(podman: Podman, busybox: str) -> None:
    async with running(podman, busybox) as container:
        session = await container.exec(script("true"))
        async with session.attached() as attachment:
            assert [chunk async for chunk in attachment.output] == []
        await session.remove()
        if quirks.EXEC_STAYS.is_active(podman.version.release):
            assert (await session.inspect()).exit_code == 0
        else:
            with pytest.raises(NotFound):
                await session.inspect()


async def test_exec_stays__and_a_command_that_runs_is_killed_where_a_request_removes_it(
    podman: Podman, busybox: str
) -> None:
    async with running(podman, busybox) as container:
        session = await container.exec(script("echo ready; exec sleep 1000"))
        async with session.attached() as attachment:
            await anext(attachment.output)
            if quirks.EXEC_STAYS.is_active(podman.version.release):
                await session.remove(force=True)
                assert (await session.inspect()).running
                return
            with pytest.raises(Conflict):
                await session.remove()
            before = await container.top(["pid"])
            await session.remove(force=True)
            with anyio.fail_after(30):
                async for _chunk in attachment.output:
                    pass
        with pytest.raises(NotFound):
            await session.inspect()
        after = await container.top(["pid"])

    assert len(after.processes) == len(before.processes) - 1


async def test_a_privileged_command_may_do_what_its_container_may_not(
    podman: Podman, busybox: str
) -> None:
    told = script("sed -n 's/^CapEff:\\s*//p' /proc/self/status")

    async with running(podman, busybox) as container:
        usual = await execute(container, told)
        privileged = await execute(container, replace(told, privileged=True))

    assert not int(usual.stdout, 16) & CAP_SYS_ADMIN
    assert int(privileged.stdout, 16) & CAP_SYS_ADMIN


async def test_exec_leaves_monitors__two_of_each_session_and_right_exit_codes(
    service: RigService, podman: Podman, busybox: str
) -> None:
    await all_are_right(service, podman, busybox, sessions=50)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_thousand_sessions_in_one_container_have_the_right_exit_codes(
    service: RigService, podman: Podman, busybox: str
) -> None:
    await all_are_right(service, podman, busybox, sessions=1000)


async def all_are_right(service: RigService, podman: Podman, image: str, *, sessions: int) -> None:
    """Execute many commands, a few at once, and compare output, exit codes and what they leave."""
    wrong: list[tuple[int, Executed]] = []
    numbers = iter(range(sessions))
    done = count()

    async def work(container: Container) -> None:
        for number in numbers:
            result = await execute(container, script(f"echo {number}; exit {number % 256}"))
            if (result.stdout, result.state.exit_code) != (b"%d\n" % number, number % 256):
                wrong.append((number, result))
            next(done)

    leftovers.end_exec_monitors(service.directory)
    try:
        async with running(podman, image, seconds=TEST_SECONDS + sessions / 2) as container:
            async with anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(work, container)
            monitors = len(leftovers.exec_monitors(service.directory))
    finally:
        leftovers.end_exec_monitors(service.directory)

    assert (next(done), wrong[:3]) == (sessions, [])
    assert monitors == MONITORS_OF_A_SESSION * sessions
