"""Secrets: what is asked of podman, and what is made of its answers."""

from __future__ import annotations

import json

import httpx2
import pytest

from barasync.aiopodman import Conflict, NotFound, Podman
from tests.unit.recorded import ENDPOINT, answering, refusing

pytestmark = pytest.mark.anyio

LABELS = {"barasync.run": "r1", "barasync.pid": "42"}
# As podman 5.4.2 and 4.3.1 answer `GET /libpod/secrets/json`.
DRIVER = {"Name": "file", "Options": {"path": "/graph/secrets/filedriver"}}
TIMES = {"CreatedAt": "2026-11-26T10:54:13.7Z", "UpdatedAt": "2026-11-26T10:54:13.7Z"}
LISTED = {"ID": "545b", **TIMES, "Spec": {"Name": "s1", "Driver": DRIVER, "Labels": LABELS}}
UNLABELLED = {**LISTED, "Spec": {"Name": "s1", "Driver": DRIVER, "Labels": None}}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_secret_is_made_with_its_labels_and_its_bytes_as_they_are() -> None:
    service = answering(200, json={"ID": "545b"})

    async with service.client() as podman:
        assert await podman.secrets.create("s1", b"\0 top\xff\n", labels=LABELS) == "545b"

    assert (service.only.method, service.only.path) == ("POST", "/libpod/secrets/create")
    assert service.only.query["name"] == ["s1"]
    assert json.loads(service.only.query["labels"][0]) == LABELS
    assert service.only.body == b"\0 top\xff\n"


async def test_whether_a_secret_exists_is_asked_by_name() -> None:
    service = answering(200, json=LISTED)

    async with service.client() as podman:
        assert await podman.secrets.exists("s1")
    async with refusing(404, "no secret with name or id").client() as podman:
        assert not await podman.secrets.exists("s1")
        assert not await podman.secrets.exists("..")

    assert service.only.path == "/libpod/secrets/s1/json"


async def test_a_name_that_is_taken_is_a_conflict() -> None:
    async with refusing(500, "secret name in use").client() as podman:
        with pytest.raises(Conflict):
            await podman.secrets.create("s1", b"top")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (None, ["s1", "s2"]),
        ({"barasync.run": None}, ["s1"]),
        ({"barasync.run": "r1", "barasync.pid": "42"}, ["s1"]),
        ({"barasync.run": "r2"}, []),
    ],
)
async def test_secrets_are_listed_by_label(
    labels: dict[str, str | None] | None, names: list[str]
) -> None:
    other = {**UNLABELLED, "ID": "6dca", "Spec": {"Name": "s2", "Driver": DRIVER}}
    service = answering(200, json=[LISTED, other])

    async with service.client() as podman:
        assert [each.spec.name for each in await podman.secrets.list(labels=labels)] == names

    assert (service.only.path, service.only.query) == ("/libpod/secrets/json", {})


async def test_where_a_list_has_no_labels_each_secret_tells_its_own() -> None:
    gone = {**UNLABELLED, "ID": "6dca"}

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "4.3.1"})
        match request.url.path.removeprefix("/v4.3.1/libpod/secrets/"):
            case "json":
                return httpx2.Response(200, json=[UNLABELLED, gone])
            case "545b/json":
                return httpx2.Response(200, json=LISTED)
            case _:
                return httpx2.Response(404, json={"cause": "no such secret", "message": "6dca"})

    async with Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman:
        everything = await podman.secrets.list()
        (found,) = await podman.secrets.list(labels={"barasync.run": "r1"})

    assert [each.id for each in everything] == ["545b", "6dca"]
    assert (found.id, found.spec.labels) == ("545b", LABELS)


async def test_a_secret_is_removed_by_name() -> None:
    service = answering(204)

    async with service.client() as podman:
        await podman.secrets.remove("s1")

    assert (service.only.method, service.only.path) == ("DELETE", "/libpod/secrets/s1")


async def test_what_is_missing_may_be_missing_if_the_caller_says_so() -> None:
    async with refusing(404, "no such secret").client() as podman:
        await podman.secrets.remove("s1", missing_ok=True)
        with pytest.raises(NotFound):
            await podman.secrets.remove("s1")
