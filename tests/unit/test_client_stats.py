"""Statistics, processes and pauses: what is asked of podman, and what is made of its answers."""

from __future__ import annotations

import json

import pytest

from barasync.aiopodman import ProtocolError
from tests.unit.recorded import CONTAINER, ID, answering, stream_of

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
    lines = [
        json.dumps({"Error": None, "Stats": [SAMPLE, {**SAMPLE, "ContainerID": "other"}]}),
        json.dumps({"Error": {}, "Stats": None}),
    ]
    service = answering(200, content=stream_of("\n".join(lines).encode()))

    async with (
        service.client() as podman,
        podman.containers.stats(["box", "other"], interval=3) as reports,
    ):
        first, last = [report async for report in reports]

    assert service.only.path == "/libpod/containers/stats"
    assert service.only.query == {
        "stream": ["true"],
        "interval": ["3"],
        "containers": ["box", "other"],
    }
    assert first.stats is not None
    assert [one.container_id for one in first.stats] == [ID, "other"]
    assert last.error is not None


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
