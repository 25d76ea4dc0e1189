"""What `barasync container exec` does."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import anyio
import typer

from barasync.aiopodman import (
    CommandNotFound,
    Container,
    ExecSession,
    ExecSpec,
    NotFound,
    OCIRuntimeError,
)
from barasync.cli.containers import found_container, require_running
from barasync.cli.interrupts import Interrupts
from barasync.cli.terminals import End, Here, converse
from barasync.errors import EXIT_NOT_PASSED
from barasync.terminal_text import plain

EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
_USUAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRequest:
    """What is to be executed; `detach_keys` are bytes that leave it to itself.

    Without `stdin` nothing is read here, and its own is at its end.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    user: str | None
    working_directory: str | None
    terminal: bool
    stdin: bool
    detach_keys: bytes


async def execute_in(
    word: str,
    request: ExecRequest,
    interrupts: Interrupts,
    *,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Execute a command in a container, talk to it, and return its exit code.

    When cancelled the command goes on in the container: podman ends it with that.

    Raises:
        ConfigError: the word means no container, several, or one that does not run.
    """
    # Podman gives a terminal to the command, and says nothing of its kind.
    kind = {"TERM": environ.get("TERM") or "xterm"} if request.terminal else {}
    spec = ExecSpec(
        command=request.command,
        environment={**kind, **request.environment},
        user=request.user,
        working_directory=request.working_directory,
        terminal=request.terminal,
        stdin=True,
    )
    async with found_container(word, url, environ) as (_podman, container, state):
        require_running(word, state)
        session = await container.exec(spec)
        try:
            async with session.attached() as attachment:
                end = await converse(
                    attachment,
                    Here.of(interrupts, environ, stdin=request.stdin),
                    resize=session.resize if request.terminal else None,
                    detach_keys=request.detach_keys,
                )
        except CommandNotFound as error:
            return _refused(f"was not found in {state.name}", request, error, EXIT_NOT_FOUND)
        except OCIRuntimeError as error:
            said = f"could not be executed in {state.name}"
            return _refused(said, request, error, EXIT_NOT_EXECUTABLE)
        if end is End.DETACHED:
            typer.echo(f"detached; the command goes on in {state.name}", err=True)
        code = end.exit_code
        try:
            return await _exit_code(session, state.name) if code is None else code
        except NotFound:
            typer.echo(f"barasync: {await _why_forgotten(container, state.name)}", err=True)
            return EXIT_NOT_PASSED


async def _exit_code(session: ExecSession, name: str) -> int:
    """Return the exit code of a command whose output has ended, which is when it ends itself."""
    with anyio.move_on_after(_USUAL_SECONDS):
        return await session.wait()
    typer.echo(
        f"barasync: podman broke off the output of the command, which goes on in {name}; "
        "its exit code is waited for",
        err=True,
    )
    return await session.wait()


async def _why_forgotten(container: Container, name: str) -> str:
    """Say why podman does not know a session any more.

    Podman 5 forgets it with the end of its container, podman 4 with its removal; both five minutes
    after the end of a command whose end they did not see.
    """
    with suppress(NotFound):
        if not (await container.inspect()).state.ended:
            return f"podman has forgotten the command in {name}, and its exit code"
    return f"{name} has ended, and the exit code of the command with it"


def _refused(said: str, request: ExecRequest, error: OCIRuntimeError, code: int) -> int:
    typer.echo(f"barasync: {plain(request.command[0])} {said}: {error.cause}", err=True)
    return code
