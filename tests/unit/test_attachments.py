"""Connections that are given over, against a real socket: what is asked, sent, and made of it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import (
    Chunk,
    CommandNotFound,
    Conflict,
    Container,
    ExecSpec,
    NotFound,
    OCIRuntimeError,
    ProtocolError,
    RequestTimeout,
    Stream,
    StreamTruncated,
)
from barasync.aiopodman.endpoint import Endpoint
from barasync.aiopodman.execs import ExecSession
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.transport import Transport
from barasync.aiopodman.version import negotiate
from tests.unit.recorded import CONTAINER, ID, answering, frame

pytestmark = pytest.mark.anyio

GIVEN_OVER = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
NO_COMMAND = (
    b"Error: crun: executable file `x` not found in $PATH: No such file or directory: "
    b"OCI runtime attempted to invoke a command that was not found\n"
)
NO_RIGHT = b"Error: crun: open executable: Operation not permitted: OCI permission denied\n"
RESET = b"Error: read unixpacket @->/proc/self/fd/13/attach: read: connection reset by peer\n"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Server:
    """Answers each connection with the next of its answers; the first stays open if it `waits`."""

    answers: tuple[bytes, ...]
    waits: bool
    heads: list[bytes] = field(default_factory=list)
    sent: bytes = b""

    def serve(self, listener: socket.socket) -> None:
        for answer in self.answers:
            connection, _ = listener.accept()
            with connection:
                head, _, self.sent = _until_blank(connection).partition(b"\r\n\r\n")
                self.heads.append(head)
                connection.sendall(answer)
                if not self.waits:
                    continue
                with suppress(ConnectionResetError):
                    while data := connection.recv(65536):
                        self.sent += data


def _until_blank(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


@asynccontextmanager
async def serving(
    directory: Path, *answers: bytes, waits: bool = False, within: float = 20
) -> AsyncIterator[tuple[Libpod, Server]]:
    """A client and its server, which is done after the block."""
    endpoint = Endpoint(f"unix://{directory}/s", "a test")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(20)
        listener.bind(str(directory / "s"))
        listener.listen()
        server = Server(answers, waits)
        async with anyio.create_task_group() as group:
            group.start_soon(to_thread.run_sync, server.serve, listener)
            async with Transport(endpoint, timeout=within) as transport:
                yield Libpod(transport, negotiate("5.4.2")), server


def documented(status: int, document: object) -> bytes:
    body = json.dumps(document).encode()
    head = b"HTTP/1.1 %d Podman\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


async def test_attach_asks_for_the_connection_and_for_no_detach_keys(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER) as (libpod, server),
        Container(libpod, ID).attach_stdin(stderr=False) as attachment,
    ):
        assert [chunk async for chunk in attachment.output] == []

    first, *headers = server.heads[0].decode().split("\r\n")
    assert first == (
        f"POST /v5.4.2{CONTAINER}/attach?stdin=true&stdout=true&stderr=false&stream=true"
        "&detachKeys= HTTP/1.1"
    )
    assert {"upgrade: tcp", "connection: upgrade"} <= {header.lower() for header in headers}


async def test_output_that_comes_with_the_answer_is_not_lost(tmp_path: Path) -> None:
    answer = GIVEN_OVER + frame(1, b"out\n") + frame(2, b"err\n")

    async with (
        serving(tmp_path, answer) as (libpod, _),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        chunks = [chunk async for chunk in attachment.output]

    assert chunks == [Chunk(Stream.STDOUT, b"out\n"), Chunk(Stream.STDERR, b"err\n")]


async def test_a_terminals_output_has_no_frames(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER + b"\1\0\0\0ready\r\n") as (libpod, _),
        Container(libpod, ID, terminal=True).attach_stdin() as attachment,
    ):
        chunks = [chunk async for chunk in attachment.output]

    assert b"".join(chunk.data for chunk in chunks) == b"\1\0\0\0ready\r\n"


async def test_what_several_tasks_send_arrives_unmixed_and_then_its_end(tmp_path: Path) -> None:
    letters = [bytes([letter]) * 300_000 for letter in b"abc"]

    async with (
        serving(tmp_path, GIVEN_OVER, waits=True) as (libpod, server),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        async with anyio.create_task_group() as group:
            for data in letters:
                group.start_soon(attachment.send, data)
        await attachment.close_stdin()
        await attachment.close_stdin()
        assert [chunk async for chunk in attachment.output] == []
        with pytest.raises(ValueError, match="closed"):
            await attachment.send(b"more")

    assert server.sent in {b"".join(order) for order in permutations(letters)}


async def test_a_frame_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER + frame(1, b"whole")[:-1]) as (libpod, _),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        with pytest.raises(StreamTruncated):
            [chunk async for chunk in attachment.output]


async def test_podmans_notice_at_the_end_is_no_output_and_elsewhere_it_is(tmp_path: Path) -> None:
    said = [frame(2, b"before\n" + RESET), frame(1, b"between\n" + RESET), frame(2, RESET)]
    at_last = [frame(2, RESET), frame(2, b"last" + RESET)]

    async with (
        serving(tmp_path, GIVEN_OVER + b"".join(said + at_last)) as (libpod, _),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        chunks = [chunk async for chunk in attachment.output]

    printed = dict.fromkeys(Stream, b"")
    for chunk in chunks:
        printed[chunk.stream] += chunk.data
    assert printed[Stream.STDOUT] == b"between\n" + RESET
    assert printed[Stream.STDERR] == b"before\n" + 3 * RESET + b"last"


async def test_what_a_command_prints_last_on_stdout_is_output_whatever_it_is(
    tmp_path: Path,
) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER + frame(1, b"a\n" + RESET)) as (libpod, _),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        printed = b"".join([chunk.data async for chunk in attachment.output])

    assert printed == b"a\n" + RESET


async def test_that_podman_detached_is_no_output(tmp_path: Path) -> None:
    answer = GIVEN_OVER + b"$ Error: detached from container\n"

    async with (
        serving(tmp_path, answer) as (libpod, _),
        Container(libpod, ID, terminal=True).attach_stdin() as attachment,
    ):
        chunks = [chunk async for chunk in attachment.output]

    assert b"".join(chunk.data for chunk in chunks) == b"$ "


async def test_a_refusal_is_the_error_that_its_cause_says(tmp_path: Path) -> None:
    answer = documented(500, {"cause": "no such container", "message": "x", "response": 500})

    async with serving(tmp_path, answer) as (libpod, _):
        with pytest.raises(NotFound, match=f"POST {CONTAINER}/attach: 500"):
            async with Container(libpod, ID).attach_stdin():
                pytest.fail("it was attached")


async def test_an_answer_without_the_connection_is_not_podmans_protocol(tmp_path: Path) -> None:
    async with serving(tmp_path, b"HTTP/1.1 200 OK\r\n\r\n") as (libpod, _):
        with pytest.raises(ProtocolError, match="not given over"):
            async with Container(libpod, ID).attach_stdin():
                pytest.fail("it was attached")


async def test_a_silent_service_is_given_up_and_the_connection_closed(tmp_path: Path) -> None:
    async with serving(tmp_path, b"", waits=True, within=1) as (libpod, _):
        with pytest.raises(RequestTimeout):
            async with Container(libpod, ID).attach_stdin():
                pytest.fail("it was attached")


async def test_cancelled_while_nothing_comes_it_leaves_no_connection(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER, waits=True) as (libpod, _),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        with anyio.move_on_after(0.01) as waiting:
            await anext(attachment.output)

    assert waiting.cancelled_caught


async def test_exec_sends_the_spec_with_keys_that_nobody_types() -> None:
    service = answering(201, json={"Id": "5e55"})
    spec = ExecSpec(command=("env",), env={"A": "1"}, user="1", work_dir="/tmp", stdin=True)

    async with service.client() as podman:
        session = await podman.containers.handle(ID).exec(spec)

    body = json.loads(service.only.body)
    assert (session.id, service.only.path) == ("5e55", f"{CONTAINER}/exec")
    assert (body["Cmd"], body["Env"], body["User"]) == (["env"], ["A=1"], "1")
    assert (body["WorkingDir"], body["AttachStdin"], body["Tty"]) == ("/tmp", True, False)
    assert set(body["DetachKeys"].split(",")) == {"ctrl-@"}
    with pytest.raises(ValueError, match="no command"):
        ExecSpec(command=())


async def test_an_exec_session_is_found_again_by_its_id() -> None:
    service = answering(200, json={"ID": "5e55", "Running": False, "ExitCode": 7})

    async with service.client() as podman:
        session = podman.containers.handle(ID).exec_session("5e55")
        assert service.seen == []
        assert await session.wait() == 7

    assert service.only.path == "/libpod/exec/5e55/json"


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        (frame(2, NO_COMMAND), CommandNotFound),
        (frame(2, NO_COMMAND) + frame(2, RESET), CommandNotFound),
        (frame(2, NO_RIGHT), OCIRuntimeError),
    ],
)
async def test_a_refusal_in_the_place_of_output_is_an_error(
    tmp_path: Path, printed: bytes, error: type[OCIRuntimeError]
) -> None:
    ended = documented(200, {"ID": "5e55", "ExitCode": 127})

    async with (
        serving(tmp_path, GIVEN_OVER + printed, ended) as (libpod, _),
        ExecSession(libpod, "5e55", terminal=False).attached() as attachment,
    ):
        with pytest.raises(error, match="POST /libpod/exec/5e55/start"):
            [chunk async for chunk in attachment.output]


@pytest.mark.parametrize(
    ("printed", "code"),
    [(NO_COMMAND, 1), (NO_COMMAND + b"and more\n", 127), (b"Error: OCI\n", 127)],
)
async def test_what_a_command_prints_is_its_output(
    tmp_path: Path, printed: bytes, code: int
) -> None:
    answers = [GIVEN_OVER + frame(1, printed), documented(200, {"ExitCode": code})]

    async with serving(tmp_path, *answers) as (libpod, _):
        session = ExecSession(libpod, "5e55", terminal=False)
        async with session.attached() as attachment:
            chunks = [chunk async for chunk in attachment.output]
        if code != 1:
            assert (await session.inspect()).exit_code == code

    assert b"".join(chunk.data for chunk in chunks) == printed


async def test_a_session_is_asked_for_its_end_until_that_has_come(tmp_path: Path) -> None:
    runs, ended = {"Running": True, "Pid": 7}, {"Running": False, "ExitCode": 7}
    answers = [documented(200, each) for each in (runs, runs, ended)]

    async with serving(tmp_path, *answers) as (libpod, server):
        code = await ExecSession(libpod, "5e55", terminal=False).wait()

    assert code == 7
    assert [head.split()[1] for head in server.heads] == 3 * [b"/v5.4.2/libpod/exec/5e55/json"]


async def test_a_session_in_the_wrong_state_is_a_conflict(tmp_path: Path) -> None:
    answer = documented(500, {"cause": "exec session state improper", "message": "x"})

    async with serving(tmp_path, answer) as (libpod, _):
        with pytest.raises(Conflict):
            async with ExecSession(libpod, "5e55", terminal=False).attached():
                pytest.fail("it was started")


async def test_resize_gives_columns_and_rows() -> None:
    service = answering(201)

    async with service.client() as podman:
        await podman.containers.handle(ID).resize(100, 33)

    assert service.only.path == f"{CONTAINER}/resize"
    assert service.only.query == {"w": ["100"], "h": ["33"]}


@pytest.mark.parametrize(("version", "asked"), [("4.3.1", 0), ("5.4.2", 1)])
async def test_exec_stays_with_an_old_podman(version: str, asked: int) -> None:
    service = answering(201, json={"Id": "5e55"}, version=version)

    async with service.client() as podman:
        session = await podman.containers.handle(ID).exec(ExecSpec(command=("true",)))
        await session.remove(force=True)

    assert [seen.path for seen in service.seen[1:]] == ["/libpod/exec/5e55/remove"] * asked
