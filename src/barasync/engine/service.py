"""One service beside a cell: its output into its log, and whether it is ready, or has ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress

import anyio
from anyio.abc import TaskGroup, TaskStatus

from barasync.aiopodman import (
    Chunk,
    Conflict,
    Container,
    ContainerInspect,
    DatabaseError,
    OCIRuntimeError,
    PodmanError,
)
from barasync.config.services import Service
from barasync.engine.drain import Drain, Sink
from barasync.engine.ending import NoVerdict
from barasync.engine.enforcement import Enforcement
from barasync.engine.job import Session
from barasync.engine.readiness import Check
from barasync.errors import BarasyncError
from barasync.terminal_text import one_line

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
_END_SECONDS = 10.0
_TAIL_BYTES = 2048
_TAIL_LINES = 3
_TAIL_CHARACTERS = 400
# What programs say of a port that another one has: EADDRINUSE, as the C library words it.
_IN_USE = "in use"

Introduce = Callable[[Container], Awaitable[None]]
"""Lets a container that was created know whom it shares its namespace with."""


class ServiceFailed(BarasyncError):
    """A service of a cell cannot be used, so that the cell was not started."""


class Tail:
    """A sink that keeps the end of what it passes on."""

    def __init__(self, log: Sink) -> None:
        self._log = log
        self._kept = b""

    async def write(self, chunk: Chunk) -> None:
        """Take a piece of output."""
        self._kept = (self._kept + chunk.data)[-_TAIL_BYTES:]
        await self._log.write(chunk)

    @property
    def text(self) -> str:
        """The last lines on one, without what would disturb a terminal."""
        lines = self._kept.decode("utf-8", errors="replace").splitlines()
        last = [line for line in lines if line.strip()][-_TAIL_LINES:]
        return one_line(" | ".join(last), most=_TAIL_CHARACTERS)


class RunningService:
    """A service whose container was created.

    `tail` is what has passed to its log. Whoever made the container calls `end`, and removes it.
    `warning` says afterwards that it ended before it was to.
    """

    def __init__(
        self,
        service: Service,
        container: Container,
        session: Session,
        *,
        sink: Sink,
        tail: Tail,
        enforced: Callable[[], AbstractAsyncContextManager[Enforcement]],
    ) -> None:
        self.container = container
        self.warning: str | None = None
        self._service = service
        self._tail = tail
        self._enforced = enforced
        self._rules: Enforcement | None = None
        self._drain = Drain(
            session.podman,
            container,
            sink,
            timeout=None,
            grace=0.0,
            gate=session.gates.start,
            hurry=session.hurry,
            before_start=self._enforce,
        )
        self._began = False
        self._ready = False
        self._ended = anyio.Event()
        self._state: ContainerInspect | None = None
        self._problem = ""

    async def start(self, group: TaskGroup, introduce: Introduce, check: Check | None) -> None:
        """Start it, follow it in `group`, and return when it is ready.

        Without a `check` it is that as soon as it runs.

        Raises:
            ServiceFailed: it cannot be started, has ended, or is not ready in time.
            NamespaceError: it is not where the rules of the cell's policy are.
            DatabaseError: podman failed before its command began, and the cause may have passed.
        """
        try:
            await introduce(self.container)
            await group.start(self._follow)
        except DatabaseError:
            raise
        except OCIRuntimeError as error:
            raise self._failed(f"cannot be started: {error.message or error}") from error
        except (PodmanError, TimeoutError, NoVerdict) as error:
            raise self._failed(f"cannot be started: podman: {error}") from error
        await self._until_ready(check)

    async def end(self) -> None:
        """Kill it, and wait until the last of its output is in its log, within 10 s.

        Cancelled, it is killed or not: `Services.end` shields it.
        """
        by_itself = self._began and self._ended.is_set()
        with anyio.move_on_after(_END_SECONDS), suppress(PodmanError):
            if self._began and not by_itself:
                by_itself = not await self._killed()
                await self._ended.wait()
        if self._ready and by_itself:
            self.warning = f"service '{self._service.name}' {self._how} while the cell ran"

    async def _killed(self) -> bool:
        """Kill it; tell whether it ran until then."""
        try:
            await self._drain.kill()
        except Conflict:
            return False
        return True

    async def _follow(self, *, task_status: TaskStatus[None]) -> None:
        try:
            async with self._enforced() as rules, AsyncExitStack() as stack:
                self._rules = rules
                await self._drain.start(stack)
                self._began = True
                await rules.confirm()
                task_status.started()
                self._state = await self._drain.run()
        except (PodmanError, TimeoutError, NoVerdict) as error:
            # Whoever waits for the start hears it; later on it is how the service was lost.
            if not self._began:
                raise
            self._problem = str(error) or "podman does not tell how it ended"
        finally:
            self._ended.set()

    async def _enforce(self) -> None:
        assert self._rules is not None, "it is started within the enforcement of its rules"
        await self._rules.apply(self.container)

    async def _until_ready(self, check: Check | None) -> None:
        seconds = self._service.ready_timeout
        with anyio.move_on_after(seconds) as waiting:
            self._ready = await self._becomes_ready(check)
        if waiting.cancelled_caught:
            said = f": {await check.said()}" if check is not None else ""
            raise self._failed(f"was not ready within {seconds:g} s{said}")
        if not self._ready:
            raise self._failed(f"{self._how} before it was ready")

    async def _becomes_ready(self, check: Check | None) -> bool:
        """Return `True` once it is ready, `False` when it has ended."""
        if check is None:
            return True
        ready = False
        async with anyio.create_task_group() as group:

            async def until_ended() -> None:
                await self._ended.wait()
                group.cancel_scope.cancel()

            group.start_soon(until_ended)
            await _until_passed(check)
            ready = True
            group.cancel_scope.cancel()
        return ready

    @property
    def _how(self) -> str:
        if self._state is None:
            return f"was lost ({self._problem})" if self._problem else "ended"
        return f"ended with exit code {self._state.state.exit_code}"

    def _failed(self, what: str) -> ServiceFailed:
        name, said = self._service.name, self._tail.text
        printed = f"; it printed last: {said}" if said else ""
        log = f"its output is in services/{name}.log, beside the logs of the cell"
        if _IN_USE in said.lower():
            log = f"the services of a cell share its ports, each for one of them; {log}"
        return ServiceFailed(f"service '{name}' {what}{printed}", hint=log)


async def _until_passed(check: Check) -> None:
    pause = _FIRST_PAUSE_SECONDS
    while not await check.passes():
        await anyio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
