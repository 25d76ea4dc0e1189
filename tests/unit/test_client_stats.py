"""Statistics, processes and pauses: what is asked of podman, and what is made of its answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest

from barasync.aiopodman import NotFound, Podman, ProtocolError, RequestTimeout, SamplingFailed
from tests.unit.recorded import CONTAINER, ENDPOINT, ID, answering, stream_of

pytestmark = pytest.mark.anyio

# What podman answers, without what this client does not read.
SAMPLE = {
    "ContainerID": ID,
    "Name": "box",
    "CPU": 12.5,
    "CPUNano": 3_000_000,
    "MemUsage": 4096,
    "MemLimit": 8192,
    "PIDs": 2,
    "BlockInput": 1,
    "BlockOutput": 7,
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_several_containers_are_followed_in_one_stream() -> None:
    line = json.dumps({"Error": None, "Stats": [SAMPLE, {**SAMPLE, "ContainerID": "other"}]})
    service = answering(200, content=stream_of(f"{line}\n{line}".encode()))

    async with (
        service.client() as podman,
        podman.containers.stats(["box", "other"], interval=3) as reports,
    ):
        found = [report async for report in reports]

    assert service.only.path == "/libpod/containers/stats"
    assert service.only.query == {
        "stream": ["true"],
        "interval": ["3"],
        "containers": ["box", "other"],
    }
    for report in found:
        assert [one.container_id for one in report.stats or ()] == [ID, "other"]
    assert len(found) == 2


async def test_a_sample_that_failed_is_raised_and_ends_them() -> None:
    lines = [json.dumps({"Error": None, "Stats": [SAMPLE]}), '{"Error":{},"Stats":null}']
    service = answering(200, content=stream_of("\n".join(lines).encode()))

    async with service.client() as podman, podman.containers.stats() as reports:
        first = await anext(reports)
        with pytest.raises(SamplingFailed, match="does not say why"):
            await anext(reports)
        with pytest.raises(StopAsyncIteration):
            await anext(reports)

    assert len(first.stats or ()) == 1


async def test_one_sample_of_one_container() -> None:
    service = answering(200, json={"Error": None, "Stats": [SAMPLE]})

    async with service.client() as podman:
        found = await podman.containers.handle(ID).sample()

    assert service.only.query == {"stream": ["false"], "containers": [ID]}
    assert (found.name, found.pids, found.cpu_percent) == ("box", 2, 12.5)
    assert (found.memory_bytes, found.memory_limit, found.cpu_nanoseconds) == (
        4096,
        8192,
        3_000_000,
    )
    assert (found.block_input, found.block_output) == (1, 7)


@pytest.mark.parametrize("answer", [{"Error": {}, "Stats": None}, {"Error": None, "Stats": None}])
async def test_no_sample_is_an_error(answer: dict[str, object]) -> None:
    async with answering(200, json=answer).client() as podman:
        with pytest.raises(ProtocolError):
            await podman.containers.handle(ID).sample()


@asynccontextmanager
async def client_without_box() -> AsyncIterator[Podman]:
    """A client of a podman that samples nothing, and knows the container `other` alone."""
    refusal = {"cause": "no such container", "message": "no such container", "response": 404}

    def handle(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "4.3.1"})
        if path.endswith("/containers/stats"):
            return httpx2.Response(200, content=b'{"Error":{},"Stats":null}')
        if path.endswith("/containers/other/json"):
            return httpx2.Response(200, json={})
        assert path.endswith("/containers/box/json")
        return httpx2.Response(404, json=refusal)

    async with Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman:
        yield podman


async def test_a_named_container_that_is_not_there_is_not_found() -> None:
    async with client_without_box() as podman:
        with pytest.raises(NotFound, match="containers/box/json"):
            await podman.containers.sample(["other", "box"])
        async with podman.containers.stats(["other", "box"]) as reports:
            with pytest.raises(NotFound, match="containers/box/json"):
                await anext(reports)
        with pytest.raises(SamplingFailed):
            await podman.containers.sample()


async def test_samples_are_not_waited_for_without_a_limit() -> None:
    async def never() -> httpx2.Response:
        await anyio.sleep_forever()
        raise AssertionError

    def handle(request: httpx2.Request) -> httpx2.Response | Awaitable[httpx2.Response]:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "5.4.2"})
        return never()

    transport = httpx2.MockTransport(handle)  # type: ignore[arg-type] # it awaits what it gets
    async with Podman(ENDPOINT, timeout=0.01, transport=transport) as podman:
        with anyio.fail_after(60), pytest.raises(RequestTimeout):
            async with podman.containers.stats(interval=0):
                pass


async def test_the_processes_of_a_container_come_in_rows() -> None:
    rows = [["1", "sh"], ["2", "sleep 9"]]
    service = answering(200, json={"Titles": ["PID", "COMMAND"], "Processes": rows})

    async with service.client() as podman:
        found = await podman.containers.handle(ID).top(["pid", "args"])

    assert service.only.path == f"{CONTAINER}/top"
    assert service.only.query == {"stream": ["false"], "ps_args": ["pid,args"]}
    assert (found.titles, found.processes) == (["PID", "COMMAND"], rows)


async def test_a_container_is_paused_and_goes_on() -> None:
    service = answering(204)

    async with service.client() as podman:
        container = podman.containers.handle(ID)
        await container.pause()
        await container.unpause()

    assert [(seen.method, seen.path) for seen in service.seen] == [
        ("POST", f"{CONTAINER}/pause"),
        ("POST", f"{CONTAINER}/unpause"),
    ]
