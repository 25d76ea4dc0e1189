"""A handle on one container.

The order that never loses output (measured): create, attach and await its headers, start, read to
the end and check against the log, inspect, archive, remove.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from typing import Literal

from barasync.aiopodman import quirks
from barasync.aiopodman.attachment import Attachment
from barasync.aiopodman.container_streams import ContainerStreams
from barasync.aiopodman.errors import (
    Conflict,
    HealthCheckTimeout,
    NotFound,
    ProtocolError,
)
from barasync.aiopodman.execs import ExecSession, ExecSpec, create_session
from barasync.aiopodman.health import HEALTHY, HealthReport
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.models import (
    ContainerInspect,
    ContainerStats,
    Removed,
    StatsReport,
)
from barasync.aiopodman.output import Received, complete
from barasync.aiopodman.removal import require_removed
from barasync.aiopodman.stats import Processes, open_stats, read_processes, read_sample
from barasync.aiopodman.transport import NOT_FOUND, Answer, Query
from barasync.aiopodman.wire.documents import decode_document
from barasync.aiopodman.wire.frames import Chunk

_MILLISECONDS = 1000
# What podman gives a container between its stop signal and SIGKILL where nobody says.
_GRACE_SECONDS = 10
# One that has ended, and that podman was about to kill, is found so by the next request.
_REMOVALS = 3

Condition = Literal[
    "configured",
    "created",
    "initialized",
    "running",
    "paused",
    "stopping",
    "stopped",
    "exited",
    "removing",
]
"""A state of a container that can be waited for."""


class Container(ContainerStreams):
    """A handle on one container: its ID, and what can be done with it.

    `warnings` are podman's from its creation. Every method raises `NotFound` when the container
    does not exist.
    """

    def __init__(
        self,
        libpod: Libpod,
        container_id: str,
        *,
        terminal: bool = False,
        warnings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(libpod, container_id, terminal=terminal)
        self.warnings = warnings

    def __repr__(self) -> str:
        return f"<Container {self.id[:12]}>"

    async def init(self) -> None:
        """Make the container's namespaces and its waiting process, without running the command.

        Nothing happens when they are there already.

        Raises:
            OCIRuntimeError: the process cannot be made, `CommandNotFound` for want of the command.

        Source: `POST /libpod/containers/{id}/init`.
        """
        await self._post("init")

    async def start(self) -> None:
        """Run the container's command; nothing happens when it runs already.

        Raises:
            OCIRuntimeError: as `init`.

        Source: `POST /libpod/containers/{id}/start`.
        """
        await self._post("start")

    async def stop(self, *, timeout: int = 10) -> None:  # noqa: ASYNC109 podman's, not a deadline
        """Send the container its stop signal, and SIGKILL after `timeout` seconds.

        Returns when it has ended; nothing happens when it does not run.

        Source: `POST /libpod/containers/{id}/stop`.
        """
        await self._libpod.post(self._path("stop"), {"timeout": timeout}, patience=timeout)

    async def kill(self, signal: str = "SIGKILL") -> None:
        """Send a signal to the container's first process. Returns before that has an effect.

        Raises:
            Conflict: the container does not run.

        Source: `POST /libpod/containers/{id}/kill`.
        """
        await self._libpod.post(self._path("kill"), {"signal": signal})

    async def inspect(self, *, size: bool = False) -> ContainerInspect:
        """Return the container's state and settings; with `size` how much it has written as well.

        Source: `GET /libpod/containers/{id}/json`; for the size podman looks at every file.
        """
        query = {"size": size or None}
        return await self._libpod.get(self._path("json"), ContainerInspect, query)

    async def check_health(self) -> bool:
        """Execute the check that the container has; tell whether it ended with 0, and in time.

        Lasts as long as that does, and podman waits for it as well when cancelled: put a deadline
        around it. It is executed once, whatever becomes of the answer. What it printed is in the
        `health` that `inspect` tells. Nothing of it is left: an exec session of the API leaves two
        processes of its monitor for five minutes, also when its container is removed (measured on
        4.3.1 and 5.4.2).

        Raises:
            APIError: the container does not run, or has no check.

        Source: `GET /libpod/containers/{id}/healthcheck`.
        """
        try:
            report = await self._libpod.get(
                self._path("healthcheck"), HealthReport, patience=None, once=True
            )
        except HealthCheckTimeout:
            return False
        return report.status == HEALTHY

    async def rename(self, name: str) -> None:
        """Give the container another name, in whatever state it is; its own one is no error.

        Raises:
            Conflict: another container has it.

        Source: `POST /libpod/containers/{id}/rename`.
        """
        await self._libpod.post(self._path("rename"), {"name": name})

    async def pause(self) -> None:
        """Have the kernel run none of the container's processes until `unpause`.

        Raises:
            Conflict: the container does not run, or is paused.

        Source: `POST /libpod/containers/{id}/pause`.
        """
        await self._post("pause")

    async def unpause(self) -> None:
        """Let the container's processes go on.

        Raises:
            Conflict: the container is not paused.

        Source: `POST /libpod/containers/{id}/unpause`.
        """
        await self._post("unpause")

    async def top(self, descriptors: Sequence[str] = ()) -> Processes:
        """Return the container's processes: podman's eight columns, or those of `descriptors`.

        They are podman's, such as `pid` in the container, `hpid` on the host, `user`, `args`.

        Raises:
            Conflict: the container does not run.

        Source: `GET /libpod/containers/{id}/top`; podman-top(1) lists the descriptors.
        """
        return await read_processes(self._libpod, "containers", self.id, descriptors)

    def stats(
        self, *, interval: int = 1
    ) -> AbstractAsyncContextManager[AsyncIterator[StatsReport]]:
        """Open what the container consumes, each `interval` seconds: as `Containers.stats`."""
        return open_stats(self._libpod, (self.id,), interval=interval)

    async def sample(self) -> ContainerStats:
        """Return what the container consumes now: as `Containers.sample`."""
        found = await read_sample(self._libpod, (self.id,))
        if not found:
            raise ProtocolError(f"podman gives no statistics of container {self.id[:12]}")
        return found[0]

    async def wait(
        self,
        conditions: Sequence[Condition] = ("stopped", "exited"),
        interval: float = 0.02,
    ) -> int:
        """Wait until the container is in one of these states; return its exit code.

        Waits for as long as that takes; put a deadline around it. A container that never started
        counts as stopped, with 0. -1 is the exit code after the server-side timeout. `interval`,
        in seconds, is how often an old podman looks (`quirks.WAIT_POLLS`); it holds the
        container's lock meanwhile, so prefer the end of `attach` as the signal.

        Source: `POST /libpod/containers/{id}/wait`.
        """
        query: dict[str, str | int | bool | Sequence[str] | None] = {"condition": conditions}
        if self._libpod.has(quirks.WAIT_POLLS):
            query["interval"] = f"{max(1, round(interval * _MILLISECONDS))}ms"
        answer = await self._libpod.post(self._path("wait"), query, patience=None)
        try:
            return int(answer.body)
        except ValueError as error:
            raise ProtocolError(
                f"podman answers {answer.body[:80]!r} to wait, which is not an exit code"
            ) from error

    async def exec(self, spec: ExecSpec) -> ExecSession:
        """Create an exec session in the container, which has to run; nothing is executed yet.

        A session that was started leaves two processes of its monitor for five minutes
        (`EXEC_LEAVES_MONITORS`).

        Raises:
            Conflict: the container does not run.

        Source: `POST /libpod/containers/{id}/exec`.
        """
        return await create_session(self._libpod, self._path(), spec)

    def exec_session(self, session_id: str, *, terminal: bool = False) -> ExecSession:
        """Return a handle on an exec session that was created before, by its ID, without a request.

        `terminal` says that it was created with one: `ExecSession.attached` must know.
        """
        return ExecSession(self._libpod, session_id, terminal=terminal)

    @asynccontextmanager
    async def start_attached(
        self,
        received: Received | None = None,
        *,
        before_start: Callable[[], Awaitable[None]] | None = None,
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """Start the container, which has not run yet, and yield all that it prints until it ends.

        `before_start` is awaited once the container's namespaces and its waiting process are there;
        where that raises, nothing is started.

        `received` counts what was yielded; whoever gives one compares it with podman's log himself
        when the container has ended, by `is_as_long_as_its_log` and `remaining_output`. When podman
        dies meanwhile, the output ends as if the container had: `Podman.presence` tells the one
        from the other.

        What podman does not pass on to an attached client is read from its log, so that must be one
        that can be read, as `create` asks for. Read all the time, and leave as `attach` says.

        Raises:
            OCIRuntimeError: the process cannot be made, `CommandNotFound` for want of the command.
            ProtocolError: while iterating, when the stream is malformed or breaks inside a frame;
                `OutputLost` at the end, when the beginning did not come.

        Source: `POST /libpod/containers/{id}/attach` and `start`, `GET …/logs`.
        """
        async with self.attach() as chunks:
            if before_start is not None:
                await before_start()
            await self.start()
            output = complete(chunks, self.logs, received or Received(), check_end=received is None)
            async with aclosing(output):
                yield output

    @asynccontextmanager
    async def start_attached_stdin(
        self,
        received: Received | None = None,
        *,
        before_start: Callable[[], Awaitable[None]] | None = None,
    ) -> AsyncIterator[Attachment]:
        """Do as `start_attached` with both directions: what the command prints, and its stdin.

        The container has to be made with `stdin`. Where podman dies meanwhile, or the block is left
        early, the command reads the end of its stdin, whether all that was sent has come or not.

        Raises:
            OCIRuntimeError, ProtocolError: as `start_attached`.

        Source: as `start_attached`, with an upgrade.
        """
        async with self.attach_stdin() as attachment:
            if before_start is not None:
                await before_start()
            await self.start()
            output = complete(
                attachment.output, self.logs, received or Received(), check_end=received is None
            )
            async with aclosing(output):
                attachment.filter(lambda _plain: output)
                yield attachment

    async def remove(
        self,
        *,
        force: bool = False,
        timeout: int | None = None,  # noqa: ASYNC109 podman's grace period, not a deadline
        volumes: bool = False,
        dependents: bool = False,
        missing_ok: bool = False,
    ) -> None:
        """Remove the container; with `force` even while it runs, with `volumes` its anonymous ones.

        With `dependents` those go first that are in its namespaces: podman refuses otherwise.

        `timeout` is how many seconds a running container gets between its stop signal and SIGKILL,
        podman's 10 by default: say 0 in a cleanup.

        Raises:
            Conflict: it runs, and `force` is false.
            NotFound: it does not exist, and `missing_ok` is false.

        Source: `DELETE /libpod/containers/{id}`.
        """
        query = {"force": force, "timeout": timeout, "volumes": volumes}
        if dependents:
            query["depend"] = True
        path = self._path()
        try:
            answer = await self._delete(
                path,
                query,
                patience=_GRACE_SECONDS if timeout is None and force else timeout or 0,
                tries=_REMOVALS if force and self._libpod.has(quirks.REMOVAL_MEETS_THE_END) else 1,
            )
        except NotFound:
            if not missing_ok:
                raise
            return
        if dependents and answer.status == NOT_FOUND:
            await self._require_gone(path)
        reports = decode_document(answer.body or b"[]", list[Removed])
        require_removed(reports, f"container {self.id[:12]}", answer=answer, path=path)

    async def _delete(self, path: str, query: Query, *, patience: float, tries: int) -> Answer:
        """DELETE, again where the container has ended while podman was about to kill it."""
        for _ in range(tries - 1):
            with suppress(Conflict):
                return await self._libpod.delete(path, query, patience=patience)
        return await self._libpod.delete(path, query, patience=patience)

    async def _require_gone(self, path: str) -> None:
        """Look whether the container is there: podman says 404 as well where a dependent was not.

        Raises:
            Conflict: it is.
        """
        try:
            await self.inspect()
        except NotFound:
            return
        raise Conflict(
            status=NOT_FOUND,
            cause="a container in its namespaces was removed meanwhile",
            message=f"container {self.id[:12]} was not removed",
            method="DELETE",
            path=f"/libpod/{path}",
        )

    async def _post(self, action: str) -> None:
        await self._libpod.post(self._path(action))
