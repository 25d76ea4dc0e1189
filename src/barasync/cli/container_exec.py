"""What `barasync container exec` does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import typer

from barasync.aiopodman import (
    Attachment,
    CommandNotFound,
    Conflict,
    Container,
    ContainerInspect,
    ExecSession,
    ExecSpec,
    NotFound,
    OCIRuntimeError,
    ServerError,
)
from barasync.cli.containers import found_container, podman_at, require_running, why_refused
from barasync.cli.interrupts import Interrupts
from barasync.cli.session_end import Spoken, exit_code_of, talk_to
from barasync.cli.terminals import End, Here
from barasync.errors import EXIT_NOT_PASSED, ConfigError
from barasync.terminal_text import plain

EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
_OF_A_USER = ("no matching entries in ", "unable to find user", "unable to find group", "uids and")
"""What podman says of a user or a group that a container does not have."""

_OF_A_DIRECTORY = ("chdir to ", "chdir `")
"""What runc and crun say of a directory that they cannot enter, which is no command's name."""


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

    def spec(self, kind: str | None) -> ExecSpec:
        """Return what podman is asked for; `kind` is that of the terminal here (`TERM`)."""
        # Podman gives a terminal to the command, and says nothing of its kind.
        told = {"TERM": kind or "xterm"} if self.terminal else {}
        return ExecSpec(
            command=self.command,
            env={**told, **self.environment},
            user=self.user,
            work_dir=self.working_directory,
            terminal=self.terminal,
            stdin=True,
        )


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
        ConfigError: the word means no container, several, or one that does not run; it has no such
            user or working directory.
    """
    async with found_container(word, url, environ) as (podman, container, state):
        called = podman_at(podman.endpoint)
        require_running(word, state, called)
        presence = await podman.presence.count()
        try:
            async with _started(container, request, environ) as (session, attachment):
                end = await talk_to(
                    attachment,
                    Here.of(interrupts, environ, stdin=request.stdin),
                    resize=session.resize if request.terminal else None,
                    detach_keys=request.detach_keys,
                )
        except (Conflict, NotFound) as error:
            raise await why_refused(word, container, error, called) from None
        except OCIRuntimeError as error:
            return _not_executed(error, request, state.name)
        except ServerError as error:
            raise _of_user(error, request, state) or error from None
        was_away = await podman.presence.count() != presence
        if end is End.ENDED and was_away and await _may_not_be_noted(session):
            return _of_unknown_end(state.name)
        spoken = Spoken(
            wait=session.wait,
            detached=f"detached; the command goes on in {state.name}",
            goes_on=f"the command goes on in {state.name}, and its exit code is waited for",
            forgotten=lambda: _why_forgotten(container, state.name),
        )
        return await exit_code_of(end, spoken)


def _of_unknown_end(name: str) -> int:
    typer.echo(
        "barasync: podman's service ended meanwhile, and may not have noted that the "
        f"command had begun in {name}: how it ends is not known",
        err=True,
    )
    return EXIT_NOT_PASSED


async def _may_not_be_noted(session: ExecSession) -> bool:
    """Tell whether podman may take a command that it has begun for one that it has not.

    So it does where it was killed in the milliseconds between the two; what it tells then is what
    it tells of one that has ended with 0 (seen once, on 5.4.2).
    """
    with suppress(NotFound):
        found = await session.inspect()
        return not found.running and found.exit_code == 0
    return False


@asynccontextmanager
async def _started(
    container: Container, request: ExecRequest, environ: Mapping[str, str]
) -> AsyncIterator[tuple[ExecSession, Attachment]]:
    """Start the command and give what it is talked to through."""
    session = await container.exec(request.spec(environ.get("TERM")))
    async with session.attached() as attachment:
        yield session, attachment


def _not_executed(error: OCIRuntimeError, request: ExecRequest, name: str) -> int:
    """Say why a command could not be executed, in the runtime's words, and return the exit code.

    Raises:
        ConfigError: for want of the directory that was asked for, which counts as a command that
            is missing, in podman's words as well.
    """
    reason = plain(error.message.removesuffix(f": {error.cause}"))
    lacks_directory = any(words in reason for words in _OF_A_DIRECTORY)
    if lacks_directory and request.working_directory is not None:
        directory = plain(request.working_directory)
        raise ConfigError(f"--workdir: {directory} cannot be entered in {name}: {reason}")
    missing = isinstance(error, CommandNotFound) and not lacks_directory
    said = "was not found" if missing else "could not be executed"
    typer.echo(f"barasync: {plain(request.command[0])} {said} in {name}: {reason}", err=True)
    return EXIT_NOT_FOUND if missing else EXIT_NOT_EXECUTABLE


def _of_user(
    error: ServerError, request: ExecRequest, state: ContainerInspect
) -> ConfigError | None:
    """Return what is said where podman failed for want of the user that was asked for."""
    if request.user is None or not any(words in error.message for words in _OF_A_USER):
        return None
    return ConfigError(
        f"--user: {state.name} has no {plain(request.user)}: {plain(error.message)}",
        hint="a number needs no entry in its /etc/passwd or /etc/group",
    )


async def _why_forgotten(container: Container, name: str) -> str:
    """Say why podman does not know a session any more.

    Podman 5 forgets it with the end of its container, podman 4 with its removal; both five minutes
    after the end of a command whose end they did not see.
    """
    with suppress(NotFound):
        if not (await container.inspect()).state.ended:
            return f"podman has forgotten the command in {name}, and its exit code"
    return f"{name} has ended, and the exit code of the command with it"
