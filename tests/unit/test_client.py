"""The client and its smaller collections: what they ask, and what they make of the answers."""

from __future__ import annotations

import json

import httpx2
import pytest

from barasync.aiopodman import (
    BadRequest,
    Podman,
    ProtocolError,
    ServerError,
)
from tests.unit.recorded import (
    ENDPOINT,
    ID,
    Service,
    answering,
    refusing,
    stream_of,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Opening a connection


@pytest.mark.parametrize(("version", "prefix"), [("4.3.1", "v4.3.1"), ("6.0.0", "v5.8.0")])
async def test_requests_go_below_the_version_that_was_negotiated(version: str, prefix: str) -> None:
    service = answering(200, json=[], version=version)

    async with service.client() as podman:
        assert str(podman.version) == version
        await podman.networks.list()

    assert service.prefix == prefix


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(200, text="hello", headers={"Server": "nginx/1.22"}),
        httpx2.Response(404, json={"message": "page not found"}, headers={"Server": "Docker/27"}),
        httpx2.Response(301, headers={"Location": "/login"}),
    ],
    ids=["a web server", "docker", "a redirect"],
)
async def test_whatever_else_answers_is_not_podman(answer: httpx2.Response) -> None:
    transport = httpx2.MockTransport(lambda _: answer)

    with pytest.raises(ProtocolError, match=r"the service at /nowhere/podman.sock is not podman"):
        async with Podman(ENDPOINT, transport=transport):
            pytest.fail("the block must not be entered")


async def test_a_podman_that_fails_is_not_called_something_else() -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(500, text="database is locked"))

    with pytest.raises(ServerError, match="database is locked"):
        async with Podman(ENDPOINT, transport=transport):
            pytest.fail("the block must not be entered")


async def test_an_old_podman_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"podman 3\.4\.4 is too old"):
        async with Service(version="3.4.4").client():
            pytest.fail("the block must not be entered")


# The rest


async def test_events_are_decoded_as_they_come() -> None:
    event = {
        "Type": "container",
        "Action": "died",
        "Actor": {"ID": ID, "Attributes": {"containerExitCode": "3"}},
        "timeNano": 1795474428540654646,
    }
    service = answering(200, content=stream_of(json.dumps(event).encode() + b"\n"))

    async with (
        service.client() as podman,
        podman.events(filters={"container": [ID]}, stream=False) as events,
    ):
        (found,) = [event async for event in events]

    assert (found.type, found.action, found.actor.id) == ("container", "died", ID)
    assert found.actor.attributes["containerExitCode"] == "3"
    assert service.only.query["stream"] == ["false"]
    assert service.only.filters == {"container": [ID]}


async def test_the_service_tells_of_itself() -> None:
    components = [{"Name": "Conmon", "Version": "2.1.6"}]
    service = answering(200, json={"Version": "5.4.2", "Components": components})
    async with service.client() as podman:
        await podman.system.ping()
        version = await podman.system.version()
    assert (version.version, version.components[0].name) == ("5.4.2", "Conmon")

    host = {"arch": "amd64", "memTotal": 3, "security": {"rootless": True}, "freeLocks": 7}
    async with answering(200, json={"host": host}).client() as podman:
        info = await podman.system.info()
    assert (info.host.mem_total, info.host.security.rootless, info.host.free_locks) == (3, True, 7)


async def test_a_bad_request_is_an_error_of_its_own() -> None:
    async with refusing(400, "unsupported pull policy").client() as podman:
        with pytest.raises(BadRequest):
            await podman.images.pull("debian")
