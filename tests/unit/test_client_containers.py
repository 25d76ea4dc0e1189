"""Containers: what is asked of podman, and what is made of its answers."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx2
import pytest

from barasync.aiopodman import (
    Chunk,
    CommandNotFound,
    ContainerSpec,
    Mount,
    NotFound,
    PathStat,
    Podman,
    ProtocolError,
    ServerError,
    Stream,
    StreamTruncated,
)
from tests.unit.recorded import (
    CONTAINER,
    ENDPOINT,
    ID,
    NOON,
    answering,
    frame,
    refusing,
    stream_of,
)

# As podman describes /dev/null and a FIFO.
DEVICE = 0x4200000 | 0o666
NAMED_PIPE = 0x2000000 | 0o644
LINK = 1 << 27 | 0o777

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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


async def test_a_container_is_attached_started_and_checked_against_its_log() -> None:
    service = answering(200, content=frame(1, b"out"))

    async with (
        service.client() as podman,
        podman.containers.handle(ID).start_attached() as chunks,
    ):
        assert [chunk async for chunk in chunks] == [Chunk(Stream.STDOUT, b"out")]

    asked = [f"{seen.method} {seen.path.removeprefix(CONTAINER)}" for seen in service.seen]
    assert asked == ["POST /attach", "POST /start", "GET /logs"]


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


async def test_an_archive_that_podman_does_not_take_whole_was_not_put() -> None:
    class Hasty(httpx2.AsyncBaseTransport):
        """Answers before it has read what it is sent."""

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if request.method == "PUT":
                assert isinstance(request.stream, httpx2.AsyncByteStream)
                body: Any = aiter(request.stream)
                await anext(body)
                await body.aclose()
            return httpx2.Response(200, headers={"Libpod-API-Version": "5.4.2"})

    pieces: Any = stream_of(b"one", b"two")

    async with Podman(ENDPOINT, transport=Hasty()) as podman:
        with pytest.raises(StreamTruncated, match="before it had taken all of the archive"):
            await podman.containers.handle(ID).put_archive("/", pieces)
    await pieces.aclose()


async def test_kinds_are_kept_where_that_was_asked() -> None:
    service = answering(200)

    async with service.client() as podman:
        container = podman.containers.handle(ID)
        await container.put_archive("/x", stream_of(b"tar"), keep_kinds=True)

    assert service.only.query == {"path": ["/x"], "noOverwriteDirNonDir": ["true"]}


def described(**more: object) -> dict[str, str]:
    """The header in which podman tells what is at a path."""
    stat = {"name": "x", "size": 1, "mode": 0o755, "mtime": "2026-11-26T00:00:00Z", **more}
    return {"X-Docker-Container-Path-Stat": base64.b64encode(json.dumps(stat).encode()).decode()}


@pytest.mark.parametrize(
    ("status", "headers", "found"),
    [
        (
            200,
            described(isDir=True, linkTarget="/x"),
            PathStat(is_directory=True, target=None, permissions=0o755),
        ),
        (
            200,
            described(mode=LINK, isDir=True, linkTarget="/y"),
            PathStat(is_directory=True, target="/y", permissions=0o777),
        ),
        (
            404,
            described(mode=LINK, isDir=False, linkTarget="/gone"),
            PathStat(is_directory=False, target="/gone", permissions=0o777),
        ),
        (
            200,
            described(mode=DEVICE, isDir=False, linkTarget="/x"),
            PathStat(is_directory=False, target=None, special="a device", permissions=0o666),
        ),
        (
            200,
            described(mode=NAMED_PIPE, isDir=False, linkTarget="/x"),
            PathStat(is_directory=False, target=None, special="a named pipe", permissions=0o644),
        ),
        (404, {}, None),
    ],
    ids=["directory", "link", "link that leads nowhere", "device", "named pipe", "nothing"],
)
async def test_a_path_is_looked_at(
    status: int, headers: dict[str, str], found: PathStat | None
) -> None:
    service = answering(status, headers=headers)

    async with service.client() as podman:
        assert await podman.containers.handle(ID).stat("/a b") == found

    assert (service.only.method, service.only.path) == ("HEAD", f"{CONTAINER}/archive")
    assert service.only.query == {"path": ["/a b"]}


@pytest.mark.parametrize("text", ["***", "e30=", "bm8="])
async def test_a_path_that_is_not_described_properly_is_an_error_of_the_protocol(text: str) -> None:
    service = answering(200, headers={"X-Docker-Container-Path-Stat": text})

    async with service.client() as podman:
        with pytest.raises(ProtocolError):
            await podman.containers.handle(ID).stat("/x")


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


async def test_an_export_is_held_and_checked_as_an_archive_is() -> None:
    service = answering(200, content=b"x" * 512)

    async with service.client() as podman, podman.containers.handle(ID).export() as data:
        await anext(data)
        with pytest.raises(StreamTruncated):
            await anext(data)

    assert [(seen.path, seen.query) for seen in service.seen] == [
        (f"{CONTAINER}/mount", {}),
        (f"{CONTAINER}/export", {}),
        (f"{CONTAINER}/unmount", {}),
    ]


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


async def test_a_commit_may_be_in_dockers_format() -> None:
    service = answering(200, json={"Id": "1f3a"})

    async with service.client() as podman:
        await podman.containers.handle(ID).commit(
            repository="localhost/x", tag="y", docker_format=True
        )

    assert service.only.query["format"] == ["docker"]


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
