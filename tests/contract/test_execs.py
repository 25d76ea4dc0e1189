"""Exec sessions: further commands in a container that runs."""

from __future__ import annotations

import pytest

from barasync.aiopodman import ExecSpec, Podman, Stream
from tests.contract.running import created, shell

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("code", [0, 7])
async def test_exec_tells_streams_apart_and_has_the_commands_exit_code(
    podman: Podman, busybox: str, code: int
) -> None:
    async with created(podman, shell(busybox, "sleep 1000")) as container:
        await container.start()
        script = f"cat; echo err >&2; exit {code}"
        session = await container.exec(ExecSpec(command=("sh", "-c", script), stdin=True))
        printed = {Stream.STDOUT: b"", Stream.STDERR: b""}
        async with session.attached() as attachment:
            await attachment.send(b"in\n")
            await attachment.close_stdin()
            async for chunk in attachment.output:
                printed[chunk.stream] += chunk.data
        state = await session.inspect()

    assert printed == {Stream.STDOUT: b"in\n", Stream.STDERR: b"err\n"}
    assert (state.running, state.exit_code) == (False, code)
