"""Manifest lists: what is asked of podman, and what is made of its answers."""

from __future__ import annotations

import json

import httpx2
import pytest

from barasync.aiopodman import (
    BadRequest,
    InvalidReference,
    Member,
    NotFound,
    Podman,
    ServerError,
)
from tests.unit.recorded import ENDPOINT, answering, refusing, stream_of

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("status", "cause"),
    [(404, "manifest not found"), (500, "image is not a manifest list")],
)
async def test_what_is_no_list_does_not_exist(status: int, cause: str) -> None:
    service = refusing(status, cause)

    async with service.client() as podman:
        assert not await podman.manifests.exists("localhost/x:y")

    assert {seen.path for seen in service.seen} == {"/libpod/manifests/localhost/x:y/exists"}


async def test_list_is_missed_while_replaced__it_is_asked_for_once_more() -> None:
    answers = [
        httpx2.Response(404, json={"cause": "manifest not found", "response": 404}),
        httpx2.Response(204),
    ]

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "4.3.1"})
        return answers.pop(0)

    async with Podman(ENDPOINT, transport=httpx2.MockTransport(answer)) as podman:
        assert await podman.manifests.exists("localhost/x:y")

    assert not answers


async def test_list_is_asked_of_registries__what_is_no_list_is_not_looked_at() -> None:
    service = refusing(404, "manifest not found")

    async with service.client() as podman:
        with pytest.raises(NotFound, match="localhost/x:y: image is not a manifest list"):
            await podman.manifests.entries("localhost/x:y")

    assert {seen.path for seen in service.seen} == {"/libpod/manifests/localhost/x:y/exists"}


async def test_a_member_is_named_by_where_it_lies_and_said_to_be_for_its_platform() -> None:
    service = answering(200, json={"Id": "1f3a"})

    async with service.client() as podman:
        await podman.manifests.add("1f3a", Member(image="9c", architecture="arm", variant="v7"))

    assert (service.only.method, service.only.path) == ("PUT", "/libpod/manifests/1f3a")
    assert json.loads(service.only.body) == {
        "operation": "update",
        "images": ["containers-storage:9c"],
        "arch": "arm",
        "os": "linux",
        "variant": "v7",
    }


async def test_what_cannot_be_added_is_said_in_podmans_words() -> None:
    service = answering(400, json={"Id": "", "errors": ["no such image: 9c", "and more"]})

    async with service.client() as podman:
        with pytest.raises(BadRequest, match="no such image: 9c; and more"):
            await podman.manifests.add("1f3a", Member(image="9c", architecture="arm64"))


async def test_a_bad_name_is_refused_before_podman_is_asked() -> None:
    service = answering(201, json={"Id": "1f3a"})

    async with service.client() as podman:
        with pytest.raises(InvalidReference):
            await podman.manifests.create("localhost/BAD")
        with pytest.raises(InvalidReference):
            await podman.manifests.push("localhost/x", "localhost:5000/BAD")

    assert service.seen == []


async def test_a_push_sends_all_images_and_returns_the_digest() -> None:
    lines = b'{"Id":"","stream":"Copying 1 of 2\\n"}\n{"Id":"sha256:1f3a"}\n'
    service = answering(200, content=stream_of(lines[:20], lines[20:]))
    progress: list[str] = []

    async with service.client() as podman:
        digest = await podman.manifests.push(
            "localhost/x:y", "localhost:5000/x:y", tls_verify=False, on_progress=progress.append
        )

    assert (digest, progress) == ("sha256:1f3a", ["Copying 1 of 2"])
    assert service.only.path == "/libpod/manifests/localhost/x:y/registry/localhost:5000/x:y"
    assert service.only.query == {"all": ["true"], "tlsVerify": ["false"], "quiet": ["false"]}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b'{"Id":"","stream":"Copying\\n"}\n{"Id":"","error":"no route"}\n', "no route"),
        (b'{"Id":"","stream":"Copying\\n"}\n', "podman named no digest"),
    ],
)
async def test_a_push_that_fails_after_200_is_an_error(answer: bytes, problem: str) -> None:
    async with answering(200, content=stream_of(answer)).client() as podman:
        with pytest.raises(ServerError, match=f"localhost/x:y could not be pushed.*: {problem}"):
            await podman.manifests.push("localhost/x:y", "localhost:5000/x:y")


async def test_a_list_that_is_gone_may_be_missing_where_that_is_said() -> None:
    async with refusing(404, "image not known").client() as podman:
        await podman.manifests.remove("x", missing_ok=True)
        with pytest.raises(NotFound):
            await podman.manifests.remove("x")
