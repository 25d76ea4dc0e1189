"""The client on trio: its streams in both directions, and what ends them before their time."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from barasync.aiopodman import ExecSpec, Podman, Stream, temporary
from tests.contract.running import TEST_SECONDS, created, ended, printed, shell

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

LINES = 20_000
IDLE = "trap exit TERM; echo ready; while :; do sleep 0.1; done"


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


async def test_all_that_a_container_prints_comes_and_its_exit_code(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, f"seq {LINES}; echo oops >&2; exit 3")) as container:
        output = await printed(container)
        found = await ended(container)

    assert output[Stream.STDOUT] == "".join(f"{n + 1}\n" for n in range(LINES)).encode()
    assert (output[Stream.STDERR], found.state.exit_code) == (b"oops\n", 3)


async def test_a_container_is_talked_to_in_both_directions(podman: Podman, busybox: str) -> None:
    spec = replace(shell(busybox, "tr a-z A-Z"), stdin=True)
    output = b""
    async with created(podman, spec) as container, container.attach_stdin() as attachment:
        await container.start()
        for line in (b"one\n", b"two\n"):
            await attachment.send(line)
        await attachment.close_stdin()
        async for chunk in attachment.output:
            output += chunk.data

    assert output == b"ONE\nTWO\n"


async def test_a_command_is_executed_with_what_it_reads(podman: Podman, busybox: str) -> None:
    output = b""
    async with created(podman, shell(busybox, IDLE)) as container:
        await container.start()
        spec = ExecSpec(command=("sh", "-c", "cat; exit 7"), stdin=True)
        session = await container.exec(spec)
        async with session.attached() as attachment:
            await attachment.send(b"hello\n")
            await attachment.close_stdin()
            async for chunk in attachment.output:
                output += chunk.data
        code = await session.wait()
        again = await container.exec_session(session.id).inspect()

    assert (output, code, again.exit_code) == (b"hello\n", 7, 7)


async def test_what_happens_is_watched_while_it_does(podman: Podman, busybox: str) -> None:
    seen: list[str] = []
    label = "barasync-test.trio"
    spec = replace(shell(busybox, "true"), labels={label: "1"})

    with anyio.fail_after(TEST_SECONDS):
        async with podman.watch(filters={"type": ["container"], "label": [f"{label}=1"]}) as events:
            async with temporary(podman.containers, spec) as container:
                await container.start()
                await container.wait()
            async for event in events:
                seen.append(event.action)
                if event.action == "remove":
                    break

    assert [each for each in seen if each in {"create", "start", "died", "remove"}] == [
        "create",
        "start",
        "died",
        "remove",
    ]


async def test_leaving_a_stream_early_leaves_the_container_running(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, IDLE)) as container:
        with anyio.CancelScope() as scope:
            async with container.start_attached() as chunks:
                await anext(chunks)
                scope.cancel()
                await anext(chunks)
        found = await container.inspect()
        await container.kill()
        code = await container.wait()

    assert scope.cancelled_caught
    assert (found.state.status, code) == ("running", 137)
