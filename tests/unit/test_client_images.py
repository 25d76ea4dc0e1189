"""Images: what is asked of podman, and what is made of its answers."""

from __future__ import annotations

import base64
import json

import pytest

from barasync.aiopodman import (
    InvalidReference,
    NotFound,
    RegistryLogin,
    ServerError,
)
from tests.unit.recorded import (
    ID,
    answering,
    refusing,
    stream_of,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_an_image_exists_or_does_not() -> None:
    async with answering(200, json={"Id": "1f3a"}).client() as podman:
        assert await podman.images.exists("localhost/x:y")
    async with refusing(404, "image not known").client() as podman:
        assert not await podman.images.exists("localhost/x:y")
    async with refusing(500, "database is locked").client() as podman:
        with pytest.raises(ServerError):
            await podman.images.exists("localhost/x:y")


async def test_an_image_is_asked_for_by_its_reference() -> None:
    service = answering(200, json={"Id": "1f3a", "Architecture": "arm64", "RepoTags": None})

    async with service.client() as podman:
        image = await podman.images.inspect("localhost/x:y")

    assert (image.architecture, image.repo_tags) == ("arm64", [])
    assert service.only.path == "/libpod/images/localhost/x:y/json"


async def test_images_are_listed_by_name_and_label() -> None:
    found = {"Id": "1f3a", "RepoTags": None, "Size": 3, "ParentId": "2e", "Labels": {"a": "1"}}
    service = answering(200, json=[found, {**found, "Id": "9c", "Labels": {"a": "1", "b": "2"}}])

    async with service.client() as podman:
        image, _ = await podman.images.list(reference="localhost/*", labels={"a": None})

    assert (image.id, image.repo_tags, image.size) == ("1f3a", [], 3)
    assert image.parent_id == "2e"
    assert service.only.filters == {"reference": ["localhost/*"], "label": ["a"]}


async def test_images_carry_every_label_though_podman_is_asked_for_one() -> None:
    found = [{"Id": "1f3a", "Labels": {"a": "1"}}, {"Id": "9c", "Labels": {"a": "1", "b": "2"}}]
    service = answering(200, json=found)

    async with service.client() as podman:
        (image,) = await podman.images.list(labels={"a": None, "b": "2"})

    assert image.id == "9c"
    assert service.only.filters == {"label": ["a"]}


async def test_import_sends_the_archive_and_returns_the_bare_id() -> None:
    service = answering(200, json={"Id": "sha256:1f3a"})

    async with service.client() as podman:
        image = await podman.images.import_(
            stream_of(b"t", b"ar"), reference="localhost/x:y", architecture="arm64", changes=["A b"]
        )

    assert image == "1f3a"
    assert service.only.body == b"tar"
    assert service.only.query == {
        "reference": ["localhost/x:y"],
        "OS": ["linux"],
        "Architecture": ["arm64"],
        "changes": ["A b"],
    }


async def test_a_bad_reference_is_refused_before_podman_stores_anything() -> None:
    service = answering(200, json={"Id": "1f3a"})

    async with service.client() as podman:
        with pytest.raises(InvalidReference):
            await podman.images.import_(stream_of(b""), reference="BAD")
        with pytest.raises(InvalidReference):
            await podman.images.tag("1f3a", "BAD", "x")
        with pytest.raises(InvalidReference):
            await podman.containers.handle(ID).commit(repository="x", tag="b a d")

    assert service.seen == []


async def test_pull_reports_progress_and_returns_the_image() -> None:
    lines = b'{"stream":"Trying\\n"}\n{"stream":"Copying\\n"}\n{"images":["1f3a"],"id":"1f3a"}\n'
    service = answering(200, content=stream_of(lines[:30], lines[30:]))
    progress: list[str] = []

    async with service.client() as podman:
        image = await podman.images.pull(
            "debian", architecture="arm64", variant="v8", on_progress=progress.append
        )

    assert image == "1f3a"
    assert progress == ["Trying", "Copying"]
    assert service.only.query == {
        "reference": ["debian"],
        "Arch": ["arm64"],
        "Variant": ["v8"],
        "policy": ["missing"],
    }


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b'{"stream":"Trying\\n"}\n{"error":"no route to host"}\n', "no route to host"),
        (b'{"stream":"Trying\\n"}\n', "podman named no image"),
    ],
)
async def test_a_pull_that_fails_after_200_is_an_error(answer: bytes, problem: str) -> None:
    async with answering(200, content=stream_of(answer)).client() as podman:
        with pytest.raises(ServerError, match=f"debian could not be pulled: {problem}"):
            await podman.images.pull("debian")


async def test_a_push_reports_progress_and_returns_what_the_registry_has() -> None:
    lines = b'{"stream":"Copying\\n"}\n{"manifestdigest":"sha256:1f"}\n'
    service = answering(200, content=stream_of(lines))
    progress: list[str] = []

    async with service.client() as podman:
        digest = await podman.images.push(
            "1f3a", "r.example/x:1", tls_verify=False, on_progress=progress.append
        )

    assert (digest, progress) == ("sha256:1f", ["Copying"])
    assert service.only.path == "/libpod/images/1f3a/push"
    assert service.only.query == {
        "destination": ["r.example/x:1"],
        "tlsVerify": ["false"],
        "quiet": ["false"],
    }
    assert "X-Registry-Auth" not in service.only.headers


async def test_a_push_that_fails_after_200_is_an_error() -> None:
    service = answering(200, content=stream_of(b'{"error":"denied"}\n'))

    async with service.client() as podman:
        with pytest.raises(ServerError, match=r"1f3a could not be pushed to r\.example/x: denied"):
            await podman.images.push("1f3a", "r.example/x")


@pytest.mark.parametrize(
    ("token", "document"),
    [
        ("", {"r.example:5000": {"username": "me", "password": "p\u00e4ss"}}),
        ("t0ken", {"username": "me", "identitytoken": "t0ken"}),
    ],
)
async def test_a_login_goes_with_the_request_and_into_no_message(
    token: str, document: dict[str, object]
) -> None:
    login = RegistryLogin(
        registry="r.example:5000", username="me", password="p\u00e4ss", identity_token=token
    )
    service = answering(200, content=stream_of(b'{"id":"1f3a"}\n'))

    async with service.client() as podman:
        await podman.images.pull("r.example:5000/x", login=login)

    given = base64.urlsafe_b64decode(service.only.headers["X-Registry-Auth"])
    assert json.loads(given) == document
    assert "p\u00e4ss" not in repr(login)
    assert "t0ken" not in repr(login)


@pytest.mark.parametrize("action", ["tag", "untag"])
async def test_images_are_named_and_unnamed(action: str) -> None:
    service = answering(201)

    async with service.client() as podman:
        await getattr(podman.images, action)("1f3a", "localhost/x", "y")

    assert service.only.path == f"/libpod/images/1f3a/{action}"
    assert service.only.query == {"repo": ["localhost/x"], "tag": ["y"]}


async def test_an_image_that_is_gone_may_be_missing_where_that_is_said() -> None:
    async with refusing(404, "image not known").client() as podman:
        await podman.images.remove("x", missing_ok=True)
        with pytest.raises(NotFound):
            await podman.images.remove("x")
