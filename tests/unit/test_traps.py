"""Rows of the table of quirks whose trap cannot be sprung at will: the way around is taken."""

from __future__ import annotations

import anyio
import httpx2
import pytest

from barasync.aiopodman import Podman
from tests.unit.recorded import CONTAINER, ENDPOINT, ID, answering, frame, stream_of

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_attach_begins_with_its_answer__a_container_is_started_after_it() -> None:
    asked: list[str] = []

    async def handle(request: httpx2.Request) -> httpx2.Response:
        action = request.url.path.rpartition("/")[2]
        if action == "_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "4.3.1"})
        asked.append(action)
        if action == "attach":
            await anyio.wait_all_tasks_blocked()
            asked.append("attach is answered")
            return httpx2.Response(200, content=stream_of(frame(1, b"first")))
        return httpx2.Response(204)

    async with (
        Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman,
        podman.containers.handle(ID).start_attached(),
    ):
        pass

    assert asked[:3] == ["attach", "attach is answered", "start"]


async def attach_query() -> dict[str, list[str]]:
    service = answering(200, content=stream_of())
    async with service.client() as podman, podman.containers.handle(ID).attach():
        pass
    assert service.only.path == f"{CONTAINER}/attach"
    return service.only.query


async def test_attach_takes_stdin__attach_says_no_to_it() -> None:
    assert (await attach_query())["stdin"] == ["false"]


async def test_attach_misframes_logs__attach_does_not_ask_for_them() -> None:
    query = await attach_query()

    assert query["stream"] == ["true"]
    assert "logs" not in query


async def test_commit_pauses__commit_says_no_to_it() -> None:
    service = answering(200, json={"Id": "1f3a"})

    async with service.client() as podman:
        await podman.containers.handle(ID).commit(repository="localhost/x", tag="y")

    assert service.only.query["pause"] == ["false"]
