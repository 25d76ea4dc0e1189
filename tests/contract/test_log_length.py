"""What attach gave tells how long podman's log is, to the byte."""

from __future__ import annotations

import pytest

from barasync.aiopodman import Podman, Received, is_as_long_as_its_log
from tests.contract.running import created, ended, shell

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "script",
    [
        "true",
        "echo one",
        "printf one; sleep 0.1; printf two; echo three >&2",
        "seq 20000",
        "head -c 3000000 /dev/zero | tr '\\0' x",
        "head -c 300000 /dev/urandom",
        "seq 100000 >&2 & seq 200000; wait",
    ],
)
async def test_what_came_tells_how_long_the_log_is(
    podman: Podman, busybox: str, script: str
) -> None:
    received = Received()
    async with created(podman, shell(busybox, script)) as container:
        async with container.start_attached(received) as chunks:
            async for _ in chunks:
                pass
        path = (await ended(container)).host_config.log_config.path

        assert await is_as_long_as_its_log(received, path) is True


async def test_the_log_of_an_output_that_was_cut_short_is_longer(
    podman: Podman, busybox: str
) -> None:
    received = Received()
    async with created(podman, shell(busybox, "echo one; sleep 0.2; echo two")) as container:
        async with container.start_attached(received) as chunks:
            await anext(chunks)
        path = (await ended(container)).host_config.log_config.path
        whole = await is_as_long_as_its_log(received, path)
        async with container.remaining_output(received, follow=False) as rest:
            came = b"".join([chunk.data async for chunk in rest])

    assert whole is False
    assert came == b"two\n"
