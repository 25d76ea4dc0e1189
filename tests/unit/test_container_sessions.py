"""Exec and attach of the command line, with a container whose podman fails in one way."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from barasync.aiopodman import (
    APIError,
    Chunk,
    CommandNotFound,
    Conflict,
    ContainerInspect,
    ContainerState,
    ExecInspect,
    NotFound,
    OCIRuntimeError,
    ServerError,
    Stream,
    TransportError,
)
from barasync.aiopodman.models import ContainerConfig
from barasync.cli import container_attach, container_exec, container_processes, session_end
from barasync.cli.container_attach import attach_to
from barasync.cli.container_exec import ExecRequest, execute_in
from barasync.cli.container_processes import show_processes
from barasync.cli.containers import not_running
from barasync.cli.interrupts import Interrupts
from barasync.cli.standard_streams import STDIN
from barasync.cli.terminals import End
from barasync.errors import ConfigError

pytestmark = pytest.mark.anyio

NOT_FOUND = "OCI runtime attempted to invoke a command that was not found"


def refused(kind: type[APIError], message: str, cause: str = "") -> APIError:
    return kind(status=500, cause=cause or message, message=message, method="POST", path="/x")


def state(status: str, *, exit_code: int = 0, tty: bool = False) -> ContainerInspect:
    return ContainerInspect(
        id="c",
        name="box",
        state=ContainerState(status=status, exit_code=exit_code),
        config=ContainerConfig(tty=tty),
    )


class Attached:
    """A conversation in which a few words come, and then an error or the end."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sent: list[bytes] = []
        self.closed = anyio.Event()
        self.until_closed = False
        self._error = error

    @property
    async def output(self) -> AsyncIterator[Chunk]:
        if self._error is not None:
            raise self._error
        yield Chunk(Stream.STDOUT, b"said\n")
        if self.until_closed:
            await self.closed.wait()

    async def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def close_stdin(self) -> None:
        self.closed.set()


class Session:
    def __init__(self, box: Box) -> None:
        self._box = box
        self.resize = box.resize

    @asynccontextmanager
    async def attached(self) -> AsyncIterator[Attached]:
        if self._box.on_start is not None:
            raise self._box.on_start
        yield self._box.talk

    async def wait(self) -> int:
        return await self._box.wait()

    async def inspect(self) -> ExecInspect:
        return self._box.told


class Presence:
    """A service that has ended once more each time that somebody looks, where it is `mortal`."""

    def __init__(self, *, mortal: bool) -> None:
        self._mortal = mortal
        self._losses = 0

    async def count(self) -> int:
        self._losses += self._mortal
        return self._losses


class Box:
    """A container whose state is the next of `states` whenever it is asked for, then the last."""

    def __init__(self, *states: ContainerInspect, printing: Exception | None = None) -> None:
        self.talk = Attached(printing)
        self.on_create: Exception | None = None
        self.on_start: Exception | None = None
        self.on_top: Exception | None = None
        self.waiting: Callable[[], Awaitable[int]] | None = None
        self.how = ""
        self.mortal = False
        self.told = ExecInspect(id="5e55", running=False, exit_code=0)
        self._states = list(states or (state("running"),))

    async def inspect(self) -> ContainerInspect:
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    async def exec(self, _spec: object) -> Session:
        if self.on_create is not None:
            raise self.on_create
        return Session(self)

    @asynccontextmanager
    async def attach_stdin(self) -> AsyncIterator[Attached]:
        self.how = "both"
        if self.on_start is not None:
            raise self.on_start
        yield self.talk

    @asynccontextmanager
    async def attach(self) -> AsyncIterator[AsyncIterator[Chunk]]:
        self.how = "output"
        yield self.talk.output

    async def wait(self) -> int:
        return 7 if self.waiting is None else await self.waiting()

    async def resize(self, columns: int, rows: int) -> None:
        """Take any size."""

    async def top(self, _columns: object) -> object:
        assert self.on_top is not None
        raise self.on_top


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[[Box], None]:
    """Have every word mean a container."""

    def give(box: Box) -> None:
        @asynccontextmanager
        async def found(*_: object) -> AsyncIterator[tuple[Any, Any, ContainerInspect]]:
            podman = SimpleNamespace(
                endpoint=SimpleNamespace(named=True, url="unix:///a"),
                presence=Presence(mortal=box.mortal),
            )
            yield podman, box, await box.inspect()

        for module in (container_exec, container_attach, container_processes):
            monkeypatch.setattr(module, "found_container", found)

    return give


@pytest.fixture
def nothing_typed() -> Iterator[None]:
    """Have our stdin at its end."""
    before, nothing = os.dup(STDIN), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STDIN)
    yield
    os.dup2(before, STDIN)
    os.close(before)
    os.close(nothing)


def request(**changed: Any) -> ExecRequest:
    usual: dict[str, Any] = {
        "command": ("ls",),
        "environment": {},
        "user": None,
        "working_directory": None,
        "terminal": False,
        "stdin": False,
        "detach_keys": b"",
    }
    return ExecRequest(**{**usual, **changed})


async def execute(asked: ExecRequest) -> int:
    interrupts = Interrupts(anyio.CancelScope())
    return await execute_in("word", asked, interrupts, url=None, environ={})


async def attach(*, stdin: bool = False) -> int:
    interrupts = Interrupts(anyio.CancelScope())
    return await attach_to("word", b"", interrupts, stdin=stdin, url=None, environ={})


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            refused(CommandNotFound, f'exec: "ls": not found in $PATH: {NOT_FOUND}', NOT_FOUND),
            127,
            'barasync: ls was not found in box: exec: "ls": not found in $PATH\n',
        ),
        (
            refused(OCIRuntimeError, "exec /tmp: permission denied: OCI x", "OCI x"),
            126,
            "barasync: ls could not be executed in box: exec /tmp: permission denied\n",
        ),
        (
            refused(CommandNotFound, f'exec: "chdir": not found: {NOT_FOUND}', NOT_FOUND),
            127,
            'barasync: ls was not found in box: exec: "chdir": not found\n',
        ),
        # The container's own directory is gone.
        (
            refused(CommandNotFound, f'chdir to "/src": no such file: {NOT_FOUND}', NOT_FOUND),
            126,
            'barasync: ls could not be executed in box: chdir to "/src": no such file\n',
        ),
    ],
    ids=["missing", "forbidden", "called chdir", "own directory"],
)
async def test_why_a_command_was_not_executed_is_told_in_the_runtimes_words(
    error: APIError,
    code: int,
    said: str,
    given: Callable[[Box], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    given(Box(printing=error))

    assert (await execute(request()), capfd.readouterr().err) == (code, said)


@pytest.mark.parametrize("words", ["crun: chdir `/nope`: x", 'runc: chdir to cwd ("/nope"): x'])
async def test_a_directory_that_is_not_there_is_told_as_that(
    words: str, given: Callable[[Box], None]
) -> None:
    given(Box(printing=refused(CommandNotFound, f"{words}: {NOT_FOUND}", NOT_FOUND)))

    with pytest.raises(ConfigError) as raised:
        await execute(request(working_directory="/nope"))

    assert str(raised.value) == f"--workdir: /nope cannot be entered in box: {words}"


async def test_a_user_that_is_not_there_is_told_as_that(given: Callable[[Box], None]) -> None:
    box = Box()
    box.on_start = refused(ServerError, "unable to find user nosuch: no matching entries in passwd")
    given(box)

    with pytest.raises(ConfigError, match="--user: box has no nosuch: unable to find user nosuch"):
        await execute(request(user="nosuch"))


async def test_what_podman_fails_at_is_not_the_users(given: Callable[[Box], None]) -> None:
    box = Box()
    box.on_start = refused(ServerError, "no space left on device")
    given(box)

    with pytest.raises(ServerError):
        await execute(request(user="root"))


@pytest.mark.parametrize("when", ["on_create", "on_start"])
async def test_a_container_that_ends_before_it_is_entered_is_told_as_ended(
    when: str, given: Callable[[Box], None]
) -> None:
    box = Box(state("running"), state("exited", exit_code=3))
    setattr(box, when, refused(Conflict, "container state improper"))
    given(box)

    with pytest.raises(ConfigError, match="word does not run: it is exited, exit code 3"):
        await execute(request())


async def test_what_is_to_be_done_names_the_service(given: Callable[[Box], None]) -> None:
    box = Box(state("running"), state("paused"))
    box.on_create = refused(Conflict, "container state improper")
    given(box)

    with pytest.raises(ConfigError) as raised:
        await execute(request())

    assert raised.value.hint == "`podman --url unix:///a unpause box` lets it go on"


async def test_a_refusal_to_enter_a_container_that_runs_is_podmans(
    given: Callable[[Box], None],
) -> None:
    box = Box()
    box.on_create = refused(Conflict, "container state improper")
    given(box)

    with pytest.raises(Conflict):
        await execute(request())


async def test_a_container_that_is_made_anew_is_not_talked_to(
    given: Callable[[Box], None], capfd: pytest.CaptureFixture[str]
) -> None:
    box = Box(state("running"), state("initialized"))
    given(box)

    assert await attach() == 1
    assert "box ended in this moment, and its exit code is lost" in capfd.readouterr().err


async def test_a_container_that_cannot_be_made_anew_is_told_as_ended(
    given: Callable[[Box], None],
) -> None:
    box = Box(state("running"), state("exited", exit_code=3))
    box.on_start = refused(OCIRuntimeError, "OCI runtime error")
    given(box)

    with pytest.raises(ConfigError, match="word does not run: it is exited, exit code 3"):
        await attach(stdin=True)


@pytest.mark.parametrize("command", ["exec", "attach"])
async def test_that_output_was_broken_off_is_said_and_the_end_is_waited_for(
    command: str,
    given: Callable[[Box], None],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0

    async def wait() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            await anyio.sleep_forever()
        return 7

    monkeypatch.setattr(session_end, "_USUAL_SECONDS", 0.01)
    box = Box(state("running"), state("running"), state("exited", exit_code=7))
    box.waiting = wait
    given(box)

    code = await (execute(request()) if command == "exec" else attach())

    told = capfd.readouterr()
    assert (code, told.out) == (7, "said\n")
    assert told.err.startswith("barasync: podman broke off the output; ")
    assert "goes on" in told.err
    if command == "attach":
        assert "`barasync container attach box` gets back in" in told.err


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (ExecInspect(id="5e55", running=False, exit_code=0), 1),
        (ExecInspect(id="5e55", running=True, exit_code=0), 7),
        (ExecInspect(id="5e55", running=False, exit_code=7), 7),
    ],
    ids=["not noted", "runs", "failed"],
)
async def test_a_success_that_podman_may_not_have_noted_the_beginning_of_is_none(
    told: ExecInspect, code: int, given: Callable[[Box], None], capfd: pytest.CaptureFixture[str]
) -> None:
    box = Box()
    box.mortal = True
    box.told = told
    given(box)

    assert await execute(request()) == code
    said = "barasync: podman's service ended meanwhile, and may not have noted that the command"
    assert capfd.readouterr().err.startswith(said) == (code == 1)


@pytest.mark.parametrize("command", ["exec", "attach"])
async def test_a_connection_that_breaks_is_no_end_of_the_command(
    command: str, given: Callable[[Box], None], capfd: pytest.CaptureFixture[str]
) -> None:
    running = state("running")
    box = Box(running, running, state("exited", exit_code=7), printing=TransportError("reset"))
    given(box)

    assert await (execute(request()) if command == "exec" else attach(stdin=True)) == 7
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("command", ["exec", "attach"])
async def test_a_container_that_is_removed_takes_the_exit_code_along(
    command: str, given: Callable[[Box], None], capfd: pytest.CaptureFixture[str]
) -> None:
    async def wait() -> int:
        raise refused(NotFound, "no such container")

    box = Box(state("running"), state("running"), state("exited"))
    box.waiting = wait
    given(box)

    assert await (execute(request()) if command == "exec" else attach()) == 1
    assert "exit code" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["exec", "attach"])
async def test_what_was_left_is_not_waited_for(
    command: str,
    given: Callable[[Box], None],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def leave(*_: object, **__: object) -> End:
        return End.DETACHED

    monkeypatch.setattr(session_end, "converse", leave)
    box = Box()
    box.waiting = cast("Any", anyio.sleep_forever)
    given(box)

    assert await (execute(request()) if command == "exec" else attach()) == 0
    assert "detached" in capfd.readouterr().err


@pytest.mark.usefixtures("nothing_typed")
@pytest.mark.parametrize("tty", [True, False])
async def test_only_with_stdin_a_container_reads_that_ours_is_at_its_end(
    tty: bool, given: Callable[[Box], None]
) -> None:
    def box() -> Box:
        running = state("running", tty=tty)
        return Box(running, running, state("exited", exit_code=7, tty=tty))

    told, watched = box(), box()
    told.talk.until_closed = True
    given(told)
    assert await attach(stdin=True) == 7
    given(watched)
    assert await attach(stdin=False) == 7

    assert (told.how, bool(told.talk.sent)) == ("both", tty)
    assert (watched.how, watched.talk.closed.is_set(), watched.talk.sent) == ("output", False, [])


@pytest.mark.parametrize("kind", [ServerError, CommandNotFound])
async def test_columns_that_podman_does_not_know_are_told_as_that(
    kind: type[APIError], given: Callable[[Box], None]
) -> None:
    box = Box()
    box.on_top = refused(kind, "unknown descriptor")
    given(box)

    def top(*columns: str) -> Awaitable[int]:
        return show_processes("word", columns=columns, as_json=False, url=None, environ={})

    with pytest.raises(ConfigError, match="--columns: pid,nonsense: unknown descriptor"):
        await top("pid", "nonsense")
    with pytest.raises(kind):
        await top()


async def test_processes_of_a_container_that_has_just_ended_are_none(
    given: Callable[[Box], None],
) -> None:
    box = Box(state("running"), state("exited", exit_code=3))
    box.on_top = refused(Conflict, "top can only be used on running containers")
    given(box)

    with pytest.raises(ConfigError, match="word does not run: it is exited, exit code 3"):
        await show_processes("word", columns=["pid"], as_json=False, url=None, environ={})


@pytest.mark.parametrize(
    ("status", "run", "hint"),
    [
        ("created", None, "`podman start box` starts it"),
        ("created", "run-a", "the run run-a is about to start it: try again, or `barasync clean`"),
        ("initialized", "run-a", "the run run-a is about to start it: try again"),
        ("paused", "run-a", "`podman unpause box` lets it go on"),
        ("exited", "run-a", "`barasync container logs` shows its output"),
        ("stopping", None, None),
    ],
)
async def test_what_is_to_be_done_about_a_container_that_does_not_run(
    status: str, run: str | None, hint: str | None
) -> None:
    said = not_running("box", "box", status, 0, run=run).hint

    assert said is None if hint is None else str(said).startswith(hint)
