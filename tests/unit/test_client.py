"""The client against recorded answers: what it asks, and what it makes of what it is told."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest

from barasync.aiopodman import (
    BadRequest,
    Chunk,
    CommandNotFound,
    ContainerSpec,
    Endpoint,
    InvalidReference,
    Mount,
    NotFound,
    Podman,
    ProtocolError,
    ServerError,
    Stream,
    StreamTruncated,
)

pytestmark = pytest.mark.anyio

ENDPOINT = Endpoint("unix:///nowhere/podman.sock", "a test")
ID = "90e472ab6e30c8f657411f97fae1c68359681935a7302c47c48d7186311a8921"
CONTAINER = f"/libpod/containers/{ID}"
NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Seen:
    """A request as the service sees it, without the version in its path."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: bytes

    @property
    def filters(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = json.loads(self.query["filters"][0])
        return found


@dataclass
class Service:
    """Answers every request with `answer`, but for the ping; remembers what it was asked."""

    version: str = "5.4.2"
    answer: httpx2.Response | None = None
    seen: list[Seen] = field(default_factory=list)
    prefix: str = ""

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, text="OK", headers={"Libpod-API-Version": self.version})
        self.prefix, slash, path = request.url.path[1:].partition("/")
        query: dict[str, list[str]] = {}
        for name, value in request.url.params.multi_items():
            query.setdefault(name, []).append(value)
        self.seen.append(Seen(request.method, slash + path, query, request.content))
        assert self.answer is not None
        return self.answer

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Podman]:
        transport = httpx2.MockTransport(self.handle)
        async with Podman(ENDPOINT, timeout=5, transport=transport) as podman:
            yield podman

    @property
    def only(self) -> Seen:
        (seen,) = self.seen
        return seen


def answering(*args: Any, version: str = "5.4.2", **kwargs: Any) -> Service:
    return Service(version=version, answer=httpx2.Response(*args, **kwargs))


def refusing(status: int, cause: str) -> Service:
    return answering(status, json={"cause": cause, "message": cause, "response": status})


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


async def stream_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


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


# Containers


async def test_create_sends_the_spec_and_returns_a_handle() -> None:
    service = answering(201, json={"Id": ID, "Warnings": ["careful"]})

    async with service.client() as podman:
        container = await podman.containers.create(ContainerSpec(image="1f3a", command=("id",)))

    assert (container.id, container.warnings) == (ID, ("careful",))
    assert service.only.path == "/libpod/containers/create"
    assert json.loads(service.only.body)["command"] == ["id"]


@pytest.mark.parametrize(("version", "at_once"), [("4.3.1", 1), ("5.4.2", 3)])
async def test_an_old_podman_creates_containers_with_named_volumes_one_by_one(
    version: str, at_once: int
) -> None:
    running = most = 0

    async def handle(request: httpx2.Request) -> httpx2.Response:
        nonlocal running, most
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": version})
        running += 1
        most = max(most, running)
        await anyio.wait_all_tasks_blocked()
        running -= 1
        return httpx2.Response(201, json={"Id": ID})

    spec = ContainerSpec(image="1f3a", mounts=(Mount("cache", "/cache"),))
    async with (
        Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman,
        anyio.create_task_group() as group,
    ):
        for _ in range(3):
            group.start_soon(podman.containers.create, spec)

    assert most == at_once


async def test_containers_are_listed_by_label() -> None:
    service = answering(200, json=[{"Id": ID, "State": "exited", "Labels": None}])

    async with service.client() as podman:
        (found,) = await podman.containers.list(labels={"a": "b", "c": None}, all=True)

    assert (found.id, found.state, found.labels) == (ID, "exited", {})
    assert service.only.query["all"] == ["true"]
    assert service.only.filters == {"label": ["a=b", "c"]}


async def test_without_labels_there_are_no_filters() -> None:
    service = answering(200, json=[])

    async with service.client() as podman:
        assert await podman.containers.list() == []

    assert service.only.query == {"all": ["false"]}


Act = Callable[[Podman], Awaitable[Any]]


@pytest.mark.parametrize(
    ("act", "method", "path", "query"),
    [
        (lambda p: p.containers.handle(ID).init(), "POST", "/init", {}),
        (lambda p: p.containers.handle(ID).start(), "POST", "/start", {}),
        (lambda p: p.containers.handle(ID).stop(timeout=3), "POST", "/stop", {"timeout": ["3"]}),
        (
            lambda p: p.containers.handle(ID).kill("SIGTERM"),
            "POST",
            "/kill",
            {"signal": ["SIGTERM"]},
        ),
        (
            lambda p: p.containers.handle(ID).put_archive("/a b", stream_of(b"tar")),
            "PUT",
            "/archive",
            {"path": ["/a b"]},
        ),
        (
            lambda p: p.containers.handle(ID).remove(force=True, timeout=0, volumes=True),
            "DELETE",
            "",
            {"force": ["true"], "timeout": ["0"], "volumes": ["true"]},
        ),
    ],
    ids=["init", "start", "stop", "kill", "put_archive", "remove"],
)
async def test_an_action_is_one_request(
    act: Act, method: str, path: str, query: dict[str, list[str]]
) -> None:
    service = answering(204)

    async with service.client() as podman:
        await act(podman)

    assert (service.only.method, service.only.path) == (method, CONTAINER + path)
    assert service.only.query == query


async def test_an_archive_is_sent_as_it_comes() -> None:
    service = answering(200)

    async with service.client() as podman:
        await podman.containers.handle(ID).put_archive("/", stream_of(b"one", b"two"))

    assert service.only.body == b"onetwo"


async def test_starting_what_runs_already_is_no_error() -> None:
    async with answering(304).client() as podman:
        await podman.containers.handle(ID).start()


async def test_inspect_returns_the_state() -> None:
    state = {"Status": "exited", "ExitCode": 3, "StartedAt": "2026-11-23T12:00:00Z"}
    service = answering(200, json={"Id": ID, "State": state, "Image": "1f3a"})

    async with service.client() as podman:
        found = await podman.containers.handle(ID).inspect()

    assert (found.state.exit_code, found.state.ended, found.image) == (3, True, "1f3a")
    assert found.state.started_at == NOON


@pytest.mark.parametrize(
    ("version", "interval"), [("4.3.1", {"interval": ["50ms"]}), ("5.4.2", {})]
)
async def test_wait_returns_the_exit_code_and_hurries_an_old_podman(
    version: str, interval: dict[str, list[str]]
) -> None:
    service = answering(200, text="137\n", version=version)

    async with service.client() as podman:
        assert await podman.containers.handle(ID).wait(interval=0.05) == 137

    assert service.only.query == {"condition": ["stopped", "exited"], **interval}


async def test_wait_refuses_what_is_no_exit_code() -> None:
    async with answering(200, text="soon").client() as podman:
        with pytest.raises(ProtocolError, match="b'soon' to wait, which is not an exit code"):
            await podman.containers.handle(ID).wait()


async def test_attach_tells_stdout_and_stderr_apart() -> None:
    service = answering(
        200, content=stream_of(frame(1, b"out")[:5], frame(1, b"out")[5:] + frame(2, b"err"))
    )

    async with service.client() as podman, podman.containers.handle(ID).attach() as chunks:
        found = [chunk async for chunk in chunks]

    assert found == [Chunk(Stream.STDOUT, b"out"), Chunk(Stream.STDERR, b"err")]
    assert (service.only.method, service.only.path) == ("POST", f"{CONTAINER}/attach")
    assert service.only.query == {
        "stdin": ["false"],
        "stdout": ["true"],
        "stderr": ["true"],
        "stream": ["true"],
    }


async def test_attach_to_a_terminal_is_not_framed() -> None:
    service = answering(200, content=stream_of(b"\x01raw"))

    async with (
        service.client() as podman,
        podman.containers.handle(ID, terminal=True).attach() as chunks,
    ):
        assert [chunk async for chunk in chunks] == [Chunk(Stream.STDOUT, b"\x01raw")]


async def test_attach_that_breaks_in_a_frame_is_an_error_after_what_came() -> None:
    service = answering(200, content=stream_of(frame(1, b"hello")[:-2]))

    async with service.client() as podman, podman.containers.handle(ID).attach() as chunks:
        assert await anext(chunks) == Chunk(Stream.STDOUT, b"hel")
        with pytest.raises(StreamTruncated):
            await anext(chunks)


async def test_attach_says_that_the_command_does_not_exist() -> None:
    service = refusing(409, "OCI runtime attempted to invoke a command that was not found")

    async with service.client() as podman:
        with pytest.raises(CommandNotFound):
            async with podman.containers.handle(ID).attach():
                pytest.fail("the block must not be entered")


async def test_a_container_is_initialised_attached_started_and_checked_against_its_log() -> None:
    service = answering(200, content=frame(1, b"out"))

    async with (
        service.client() as podman,
        podman.containers.handle(ID).start_attached() as chunks,
    ):
        assert [chunk async for chunk in chunks] == [Chunk(Stream.STDOUT, b"out")]

    asked = [f"{seen.method} {seen.path.removeprefix(CONTAINER)}" for seen in service.seen]
    assert asked == ["POST /init", "POST /attach", "POST /start", "GET /logs"]


async def test_logs_are_asked_for_as_wanted() -> None:
    service = answering(200, content=stream_of(frame(2, b"err")))

    async with service.client() as podman:
        logs = podman.containers.handle(ID).logs(stdout=False, tail=5, since=NOON)
        async with logs as chunks:
            assert [chunk async for chunk in chunks] == [Chunk(Stream.STDERR, b"err")]

    since = service.only.query.pop("since")
    assert [dt.datetime.fromisoformat(moment) for moment in since] == [NOON]
    assert service.only.query == {
        "stdout": ["false"],
        "stderr": ["true"],
        "follow": ["false"],
        "tail": ["5"],
    }


async def test_an_archive_passes_through_while_its_files_are_held_mounted() -> None:
    whole = b"x" * 512 + bytes(1024)
    service = answering(200, content=whole)

    async with service.client() as podman, podman.containers.handle(ID).archive("/out") as data:
        assert b"".join([piece async for piece in data]) == whole

    assert [(seen.method, seen.path) for seen in service.seen] == [
        ("POST", f"{CONTAINER}/mount"),
        ("GET", f"{CONTAINER}/archive"),
        ("POST", f"{CONTAINER}/unmount"),
    ]
    assert service.seen[1].query == {"path": ["/out"]}


async def test_an_archive_of_a_container_that_is_gone_at_its_end_is_not_whole() -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "5.4.2"})
        if request.url.path.endswith("/unmount"):
            return httpx2.Response(404, json={"cause": "no such container", "message": "gone"})
        return httpx2.Response(200, content=b"x" * 512 + bytes(1024))

    async with (
        Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman,
        podman.containers.handle(ID).archive("/out") as data,
    ):
        await anext(data)
        with pytest.raises(StreamTruncated, match="was removed while its files were packed"):
            await anext(data)


async def test_the_files_of_an_archive_are_let_go_once_even_if_it_is_not_read() -> None:
    service = answering(200, content=bytes(1024))

    async with service.client() as podman, podman.containers.handle(ID).archive("/out"):
        pass

    assert [seen.path.rpartition("/")[2] for seen in service.seen] == [
        "mount",
        "archive",
        "unmount",
    ]


async def test_an_archive_that_ends_early_is_an_error() -> None:
    async with (
        answering(200, content=b"x" * 512).client() as podman,
        podman.containers.handle(ID).archive("/out") as data,
    ):
        await anext(data)
        with pytest.raises(StreamTruncated):
            await anext(data)


async def test_commit_returns_the_image() -> None:
    service = answering(200, json={"Id": "1f3a"})

    async with service.client() as podman:
        image = await podman.containers.handle(ID).commit(
            repository="localhost/x", tag="y", changes=("WORKDIR /a", "LABEL b=c")
        )

    assert image == "1f3a"
    assert service.only.path == "/libpod/commit"
    assert service.only.query == {
        "container": [ID],
        "repo": ["localhost/x"],
        "tag": ["y"],
        "pause": ["false"],
        "changes": ["WORKDIR /a", "LABEL b=c"],
    }


async def test_a_container_that_is_gone_may_be_missing_where_that_is_said() -> None:
    async with refusing(404, "no such container").client() as podman:
        await podman.containers.handle(ID).remove(missing_ok=True)
        with pytest.raises(NotFound):
            await podman.containers.handle(ID).remove()


async def test_a_removal_that_failed_under_200_is_an_error() -> None:
    service = answering(200, json=[{"Id": ID, "Err": "device or resource busy"}])

    async with service.client() as podman:
        with pytest.raises(ServerError, match="was not removed: device or resource busy"):
            await podman.containers.handle(ID).remove()


async def test_a_removal_is_confirmed_by_an_answer_without_errors() -> None:
    async with answering(200, json=[{"Id": ID, "Err": None}]).client() as podman:
        await podman.containers.handle(ID).remove()


# Images


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
    service = answering(200, json=[{"Id": "1f3a", "RepoTags": None, "Size": 3}])

    async with service.client() as podman:
        (image,) = await podman.images.list(reference="localhost/*", labels={"a": None})

    assert (image.id, image.repo_tags, image.size) == ("1f3a", [], 3)
    assert service.only.filters == {"reference": ["localhost/*"], "label": ["a"]}


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


async def test_networks_are_listed() -> None:
    async with answering(200, json=[{"name": "podman", "driver": "bridge"}]).client() as podman:
        (network,) = await podman.networks.list()

    assert (network.name, network.driver) == ("podman", "bridge")


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
