"""An upload that ends early ends in order: podman would go on unpacking."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest

from barasync.aiopodman import Podman, archives
from tests.unit.recorded import ENDPOINT, ID

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Unpacking(httpx2.AsyncBaseTransport):
    """Takes an upload to its end, as podman does when it has unpacked that, and then answers."""

    def __init__(self, status: int, *, silent: bool = False) -> None:
        self.status = status
        self.silent = silent
        self.taking = anyio.Event()
        self.body = b""
        self.is_done = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "PUT":
            return httpx2.Response(200, headers={"Libpod-API-Version": "5.4.2"})
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        async for piece in request.stream:
            self.body += piece
            self.taking.set()
        await anyio.lowlevel.checkpoint()
        if self.silent:
            await anyio.sleep_forever()
        self.is_done = True
        return httpx2.Response(self.status, json={"cause": "", "message": "unexpected EOF"})


async def stuck() -> AsyncIterator[bytes]:
    yield b"one"
    await anyio.sleep_forever()


async def is_cancelled(service: Unpacking) -> bool:
    """Cancel an upload that podman is taking; tell whether it ended as a cancelled one."""
    async with Podman(ENDPOINT, transport=service) as podman:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(podman.containers.handle(ID).put_archive, "/", stuck())
                await service.taking.wait()
                group.cancel_scope.cancel()
    return group.cancel_scope.cancelled_caught


@pytest.mark.parametrize("status", [200, 500])
async def test_a_cancelled_upload_ends_in_order_and_podman_is_done_with_it(status: int) -> None:
    service = Unpacking(status)

    assert await is_cancelled(service)
    assert (service.body, service.is_done) == (b"one", True)


async def test_a_podman_that_says_nothing_after_a_cancelled_upload_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archives, "_END_SECONDS", 0.01)
    service = Unpacking(200, silent=True)

    assert await is_cancelled(service)
    assert not service.is_done


@pytest.mark.parametrize("status", [200, 500])
async def test_an_upload_that_fails_here_ends_in_order_and_the_failure_is_raised(
    status: int,
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"one"
        raise LookupError("the file has changed")

    service = Unpacking(status)

    async with Podman(ENDPOINT, transport=service) as podman:
        with pytest.raises(LookupError, match="the file has changed"):
            await podman.containers.handle(ID).put_archive("/", failing())

    assert (service.body, service.is_done) == (b"one", True)
