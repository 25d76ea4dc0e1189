"""Exec sessions, against a real socket: what is asked, and what is made of a refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barasync.aiopodman import (
    Chunk,
    CommandNotFound,
    Conflict,
    ExecSpec,
    OCIRuntimeError,
    Stream,
)
from barasync.aiopodman.execs import ExecSession
from tests.unit.given_over import GIVEN_OVER, RESET, documented, serving
from tests.unit.recorded import CONTAINER, ID, answering, frame

pytestmark = pytest.mark.anyio

NO_COMMAND = (
    b"Error: crun: executable file `x` not found in $PATH: No such file or directory: "
    b"OCI runtime attempted to invoke a command that was not found\n"
)
TOO_LONG = b"Error: crun: open executable: File name too long: OCI runtime error\n"
NO_RIGHT = b"Error: crun: open executable: Operation not permitted: OCI permission denied\n"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
    ("printed", "code", "error"),
    [
        (frame(2, NO_COMMAND), 127, CommandNotFound),
        (frame(2, NO_COMMAND) + frame(2, RESET), 127, CommandNotFound),
        (frame(2, NO_RIGHT), 126, OCIRuntimeError),
        (frame(2, TOO_LONG), 125, OCIRuntimeError),
    ],
)
async def test_a_refusal_in_the_place_of_output_is_an_error(
    tmp_path: Path, printed: bytes, code: int, error: type[OCIRuntimeError]
) -> None:
    ended = documented(200, {"ID": "5e55", "ExitCode": code})

    async with (
        serving(tmp_path, GIVEN_OVER + printed, ended) as (libpod, _),
        ExecSession(libpod, "5e55", terminal=False).attached() as attachment,
    ):
        with pytest.raises(error, match="POST /libpod/exec/5e55/start"):
            [chunk async for chunk in attachment.output]


NO_LINES = NO_COMMAND.replace(b"`x`", b"`a\nb\n`")
NO_LONG = NO_COMMAND.replace(b"`x`", b"`" + b"x" * 300_000 + b"`")


@pytest.mark.parametrize("refusal", [NO_LINES, NO_LONG], ids=["of several lines", "long"])
@pytest.mark.parametrize("terminal", [False, True])
async def test_a_refusal_has_the_words_of_the_command_in_it(
    tmp_path: Path, refusal: bytes, terminal: bool
) -> None:
    printed = refusal.replace(b"\n", b"\r\n") if terminal else frame(2, refusal)
    ended = documented(200, {"ID": "5e55", "ExitCode": 127})

    async with (
        serving(tmp_path, GIVEN_OVER + printed[:50], ended, rest=printed[50:]) as (libpod, _),
        ExecSession(libpod, "5e55", terminal=terminal).attached() as attachment,
    ):
        with pytest.raises(CommandNotFound):
            [chunk async for chunk in attachment.output]
        assert await anext(attachment.output, None) is None


@pytest.mark.parametrize(
    ("cut", "terminal"),
    [(1, True), (7, True)]
    + [(cut, terminal) for cut in (8, 40, -1, len(NO_COMMAND)) for terminal in (False, True)],
)
async def test_a_refusal_that_comes_in_two_reads_is_an_error(
    tmp_path: Path, cut: int, terminal: bool
) -> None:
    whole = NO_COMMAND + RESET if terminal else frame(2, NO_COMMAND) + frame(2, RESET)
    cut += len(NO_COMMAND) if cut < 0 else 0
    cut += 0 if terminal else len(frame(2, b""))
    ended = documented(200, {"ID": "5e55", "ExitCode": 127})

    async with (
        serving(tmp_path, GIVEN_OVER + whole[:cut], ended, rest=whole[cut:]) as (libpod, _),
        ExecSession(libpod, "5e55", terminal=terminal).attached() as attachment,
    ):
        with pytest.raises(CommandNotFound):
            [chunk async for chunk in attachment.output]


@pytest.mark.parametrize("asks", [b"E", b"Error: go on? ", NO_COMMAND])
async def test_a_command_that_runs_is_heard_at_once_whatever_it_prints(
    tmp_path: Path, asks: bytes
) -> None:
    """It may wait for an answer to it."""
    runs = documented(200, {"ID": "5e55", "Running": True, "Pid": 7})

    async with (
        serving(tmp_path, GIVEN_OVER + frame(1, asks), runs, rest=frame(1, b"yes")) as (libpod, _),
        ExecSession(libpod, "5e55", terminal=False).attached() as attachment,
    ):
        assert await anext(attachment.output) == Chunk(Stream.STDOUT, asks)
        assert await anext(attachment.output) == Chunk(Stream.STDOUT, b"yes")
        assert await anext(attachment.output, None) is None


@pytest.mark.parametrize(
    ("printed", "ended"),
    [
        (NO_COMMAND, documented(200, {"ExitCode": 1})),
        (NO_COMMAND + b"and more\n", documented(200, {"ExitCode": 127})),
        (b"Error: OCI\n", documented(200, {"ExitCode": 127})),
        (b"Error: " + b"x" * 600_000, documented(200, {"ExitCode": 126})),
        (NO_COMMAND, documented(404, {"cause": "no such exec session", "message": "x"})),
    ],
    ids=["another code", "more", "no cause", "much", "forgotten"],
)
async def test_what_a_command_prints_is_its_output(
    tmp_path: Path, printed: bytes, ended: bytes
) -> None:
    whole = frame(1, printed)

    async with (
        serving(tmp_path, GIVEN_OVER + whole[:15], ended, rest=whole[15:]) as (libpod, _),
        ExecSession(libpod, "5e55", terminal=False).attached() as attachment,
    ):
        chunks = [chunk async for chunk in attachment.output]

    assert b"".join(chunk.data for chunk in chunks) == printed


async def test_output_that_is_no_refusal_is_nothing_to_ask_about(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER + frame(1, b"out\n")) as (libpod, server),
        ExecSession(libpod, "5e55", terminal=False).attached() as attachment,
    ):
        assert [chunk.data async for chunk in attachment.output] == [b"out\n"]

    assert len(server.heads) == 1


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


@pytest.mark.parametrize(("version", "asked"), [("4.3.1", 0), ("5.4.2", 1)])
async def test_exec_stays_with_an_old_podman(version: str, asked: int) -> None:
    service = answering(201, json={"Id": "5e55"}, version=version)

    async with service.client() as podman:
        session = await podman.containers.handle(ID).exec(ExecSpec(command=("true",)))
        await session.remove(force=True)

    assert [seen.path for seen in service.seen[1:]] == ["/libpod/exec/5e55/remove"] * asked
