"""Further commands in a container that runs: exec sessions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import msgspec

from barasync.aiopodman.attachment import Attachment, open_attachment
from barasync.aiopodman.libpod import Libpod, segment
from barasync.aiopodman.transport import Query
from barasync.aiopodman.wire.documents import decode_document


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSpec:
    """A command that is to run in a container beside its own.

    `environment` comes on top of the container's. `user` and `working_directory` are the
    container's where they are `None`. With `terminal` the command has one, and its two output
    streams are one; without `stdin` it reads from nothing.

    `detach_keys` are podman's own, such as `ctrl-p,ctrl-q`; by default there are none.

    Raises:
        ValueError: there is no command.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    working_directory: str | None = None
    terminal: bool = False
    stdin: bool = False
    privileged: bool = False
    detach_keys: str | None = None

    def __post_init__(self) -> None:
        if not self.command:
            raise ValueError("there is no command to execute")

    def to_body(self) -> dict[str, object]:
        """Return the create body. Source: `POST /libpod/containers/{id}/exec`."""
        return {
            "Cmd": list(self.command),
            "Env": [f"{name}={value}" for name, value in self.environment.items()],
            "User": self.user or "",
            "WorkingDir": self.working_directory or "",
            "Tty": self.terminal,
            "AttachStdin": self.stdin,
            "AttachStdout": True,
            "AttachStderr": True,
            "Privileged": self.privileged,
            "DetachKeys": self.detach_keys or "",
        }


class ExecInspect(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The state of an exec session: `exit_code` counts once it is not `running` any more.

    `pid` is that of the command on the service's host, 0 where it does not run.
    """

    id: str = msgspec.field(default="", name="ID")
    container_id: str = msgspec.field(default="", name="ContainerID")
    running: bool = False
    exit_code: int = 0
    pid: int = 0


class _Created(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    id: str


class ExecSession:
    """A handle on one exec session. Every method raises `NotFound` when it does not exist."""

    def __init__(self, libpod: Libpod, session_id: str, *, terminal: bool) -> None:
        self.id = session_id
        self._libpod = libpod
        self._terminal = terminal

    def __repr__(self) -> str:
        return f"<ExecSession {self.id[:12]}>"

    def attached(self) -> AbstractAsyncContextManager[Attachment]:
        """Start the command, with both directions of a connection to it.

        Leaving the block early leaves the command running. It is started once.

        Raises:
            OCIRuntimeError: the command cannot be executed, `CommandNotFound` for want of it.
            Conflict: the container does not run, or the command was started before.

        Source: `POST /libpod/exec/{id}/start`, with an upgrade.
        """
        body = {"Detach": False, "Tty": self._terminal}
        return open_attachment(
            self._libpod, self._path("start"), {}, body=body, terminal=self._terminal
        )

    async def start_detached(self) -> None:
        """Start the command, and let nobody read what it prints.

        Raises:
            OCIRuntimeError, Conflict: as `attached`.

        Source: `POST /libpod/exec/{id}/start`.
        """
        await self._libpod.post(self._path("start"), body={"Detach": True})

    async def resize(self, columns: int, rows: int) -> None:
        """Give the command's terminal another size, in characters; the command must run.

        Source: `POST /libpod/exec/{id}/resize`.
        """
        await self._libpod.post(self._path("resize"), _size(columns, rows))

    async def inspect(self) -> ExecInspect:
        """Return the session's state.

        Source: `GET /libpod/exec/{id}/json`.
        """
        return await self._libpod.get(self._path("json"), ExecInspect)

    def _path(self, action: str) -> str:
        return f"exec/{segment(self.id)}/{action}"


async def create_session(libpod: Libpod, container_path: str, spec: ExecSpec) -> ExecSession:
    """Create an exec session as `Container.exec` describes it."""
    answer = await libpod.post(f"{container_path}/exec", body=spec.to_body())
    created = decode_document(answer.body, _Created)
    return ExecSession(libpod, created.id, terminal=spec.terminal)


def _size(columns: int, rows: int) -> Query:
    return {"w": columns, "h": rows}
