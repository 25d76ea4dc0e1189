"""Further commands in a container that runs: exec sessions."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import msgspec

from barasync.aiopodman import quirks
from barasync.aiopodman.attachment import Attachment, open_attachment
from barasync.aiopodman.errors import NotFound
from barasync.aiopodman.libpod import Libpod, segment
from barasync.aiopodman.texts import refuse_text
from barasync.aiopodman.wire.documents import decode_document
from barasync.aiopodman.wire.frames import Chunk
from barasync.aiopodman.wire.refusal import may_be_refusal, refusal_in_output

# As podman's own command ends: the runtime failed, the command cannot be executed, or is not there.
_NOT_EXECUTED = frozenset({125, 126, 127})
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 1.0
# Nothing turns podman's default keys off, so it gets some that nobody types.
_NO_KEYS = ",".join(["ctrl-@"] * 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSpec:
    """A command that is to run in a container beside its own.

    `env` comes on top of the container's. `user` and `work_dir` are the container's where they are
    `None`. With `terminal` the command has one, and its two output streams are one; without `stdin`
    it reads from nothing.

    `detach_keys` are podman's own, such as `ctrl-p,ctrl-q`, which end the output; by default there
    are none that anybody types, and every byte reaches the command.

    Raises:
        TypeError: the command is a text, which no shell takes apart here.
        ValueError: there is no command.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    work_dir: str | None = None
    terminal: bool = False
    stdin: bool = False
    privileged: bool = False
    detach_keys: str | None = None

    def __post_init__(self) -> None:
        refuse_text("command", self.command)
        if not self.command:
            raise ValueError("there is no command to execute")

    def to_body(self) -> dict[str, object]:
        """Return the create body. Source: `POST /libpod/containers/{id}/exec`."""
        return {
            "Cmd": list(self.command),
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "User": self.user or "",
            "WorkingDir": self.work_dir or "",
            "Tty": self.terminal,
            "AttachStdin": self.stdin,
            "AttachStdout": True,
            "AttachStderr": True,
            "Privileged": self.privileged,
            "DetachKeys": self.detach_keys or _NO_KEYS,
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

    @asynccontextmanager
    async def attached(self) -> AsyncIterator[Attachment]:
        """Start the command, with both directions of a connection to it.

        The output ends when the command does, also where that has closed it long before. That it
        could not be executed is told by iterating over the output. Leaving the block early leaves
        the command running, and lets it read the end of its stdin unless that is a terminal. It is
        started once. When cancelled on entering, it may have been started.

        Raises:
            Conflict: the container does not run, or the command was started before.
            ServerError: the container knows no such user.
            OCIRuntimeError: while iterating over the output, when the command cannot be executed or
                its directory is missing, `CommandNotFound` for want of either.

        Source: `POST /libpod/exec/{id}/start`, with an upgrade.
        """
        path = self._path("start")
        body = {"Detach": False, "Tty": self._terminal}
        async with open_attachment(
            self._libpod, path, {}, body=body, terminal=self._terminal
        ) as attachment:
            attachment.filter(lambda chunks: _Executed(chunks, self.inspect, f"/libpod/{path}"))
            yield attachment

    async def start_detached(self) -> None:
        """Start the command, and let nobody read what it prints.

        Podman 4 says that it runs until its monitor is gone, five minutes after its end
        (`quirks.EXEC_SEEMS_TO_RUN`).

        Raises:
            OCIRuntimeError, Conflict, ServerError: as `attached`, at once.

        Source: `POST /libpod/exec/{id}/start`.
        """
        await self._libpod.post(self._path("start"), body={"Detach": True})

    async def resize(self, columns: int, rows: int) -> None:
        """Give the command's terminal another size, in characters.

        Nothing happens where it has none.

        Raises:
            Conflict: the command does not run.

        Source: `POST /libpod/exec/{id}/resize`.
        """
        await self._libpod.post(self._path("resize"), {"w": columns, "h": rows})

    async def inspect(self) -> ExecInspect:
        """Return the session's state; podman forgets it five minutes after the command's end.

        Podman 5 forgets it with the end of the container, podman 4 with its removal.

        Source: `GET /libpod/exec/{id}/json`.
        """
        return await self._libpod.get(self._path("json"), ExecInspect)

    async def wait(self) -> int:
        """Wait until the command has ended; return its exit code.

        Waits for as long as that takes; put a deadline around it. The end of `attached`'s output is
        the signal to prefer: after it this answers at once. Without it, as of a session that was
        left early, podman has no request to wait with, and its events do not name the session: it
        is asked with pauses, 0.02 s at first and twice as long each time, up to 1 s.

        Of a session that was started detached podman 4 knows no exit code
        (`quirks.EXEC_SEEMS_TO_RUN`): this ends five minutes after the command, with `NotFound`.

        Raises:
            NotFound: podman has forgotten the session, and its exit code; see `inspect`.

        Source: `GET /libpod/exec/{id}/json`.
        """
        pause = _FIRST_PAUSE_SECONDS
        while (state := await self.inspect()).running:
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return state.exit_code

    async def remove(self, *, force: bool = False) -> None:
        """Have podman forget the session; with `force` one whose command runs, which is killed.

        Podman 4 cannot: nothing happens there (`quirks.EXEC_STAYS`). The processes of its monitor
        stay either way.

        Raises:
            Conflict: the command runs, and `force` is false.

        Source: `POST /libpod/exec/{id}/remove`.
        """
        if not self._libpod.has(quirks.EXEC_STAYS):
            await self._libpod.post(self._path("remove"), body={"Force": force})

    def _path(self, action: str) -> str:
        return f"exec/{segment(self.id)}/{action}"


async def create_session(libpod: Libpod, container_path: str, spec: ExecSpec) -> ExecSession:
    """Create an exec session as `Container.exec` describes it."""
    answer = await libpod.post(f"{container_path}/exec", body=spec.to_body())
    created = decode_document(answer.body, _Created)
    return ExecSession(libpod, created.id, terminal=spec.terminal)


class _Executed(AsyncIterator[Chunk]):
    """The output of a command, or podman's refusal to execute it, which comes in its place.

    Podman gives the connection over before it executes the command, and prints what went wrong into
    it. It counts as that where nothing else was printed and the exit code agrees. That is asked for
    as soon as what has come may be the beginning of one, and not before podman has let go of the
    container, which it has once the command runs or was refused: what a command prints that runs is
    not held back.
    """

    def __init__(
        self,
        chunks: AsyncIterator[Chunk],
        inspect: Callable[[], Awaitable[ExecInspect]],
        path: str,
    ) -> None:
        self._chunks = chunks
        self._inspect = inspect
        self._path = path
        self._held: deque[Chunk] = deque()
        self._printed = bytearray()
        self._failed = False
        self._decided = False

    async def __anext__(self) -> Chunk:
        if not self._decided:
            await self._hold()
        if self._held:
            return self._held.popleft()
        return await anext(self._chunks)

    async def _hold(self) -> None:
        """Keep what comes until that is known to be output.

        Raises:
            OCIRuntimeError: it is a refusal.
        """
        while may_be_refusal(self._printed):
            if self._printed and not self._failed:
                self._failed = await self._has_failed()
                if not self._failed:
                    break
            chunk = await anext(self._chunks, None)
            if chunk is None:
                self._require_executed()
                break
            self._held.append(chunk)
            self._printed += chunk.data
        self._decided = True
        self._printed.clear()

    async def _has_failed(self) -> bool:
        try:
            state = await self._inspect()
        except NotFound:
            # It is forgotten once it has run, with its container.
            return False
        return not state.running and state.exit_code in _NOT_EXECUTED

    def _require_executed(self) -> None:
        refused = refusal_in_output(bytes(self._printed), method="POST", path=self._path)
        if refused is not None:
            self._held.clear()
            self._decided = True
            raise refused
