"""A running container until its end: its output into the log, its deadline, its last state.

The end of a stream proves nothing. Where the container goes on, either it has closed its output, or
podman died and came back, or the container's monitor died (`ending`).
After a podman that died, the output is completed from podman's log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Protocol

import anyio
from anyio import CancelScope, get_cancelled_exc_class

from barasync.aiopodman import (
    APIError,
    Attachment,
    Chunk,
    Conflict,
    Container,
    ContainerInspect,
    LogIncomplete,
    NotFound,
    OutputLost,
    Podman,
    PodmanError,
    Received,
    TransportError,
    is_as_long_as_its_log,
)
from barasync.engine.ending import MonitorLost, NoVerdict, until_ended
from barasync.engine.feeding import Feed, OpenStdin
from barasync.engine.gate import Gate
from barasync.errors import BarasyncError

_DEATH_SECONDS = 10.0
_SOON_SECONDS = 0.05
_REMOVAL_SECONDS = 1.0
_REMOVAL_PAUSE_SECONDS = 0.05
# SIGTERM and SIGKILL, as a shell counts them.
_KILLED = frozenset({128 + 15, 128 + 9})


class Sink(Protocol):
    """Takes output; it may wait for the disk, never for a terminal."""

    async def write(self, chunk: Chunk) -> None:
        """Take a piece of output, in order."""


class Drain:
    """Writes a container's output to its log until it ends, and ends it when its time is over.

    `gate` bounds how many are started at once. `timeout` and `grace` are in seconds: the
    container's deadline, and what it gets between SIGTERM and SIGKILL, there and when the drain is
    cancelled; `hurry` cuts that short. `before_start` is awaited once the container is initialised;
    where it raises, the command is not executed. `stdin` is what the command reads, `None` for one
    without a stdin.

    Afterwards `deadline_hit` says that the deadline came and the container was to be killed,
    `terminated` that it took SIGTERM then, `problem` why its output is not complete, `doubt` why
    that cannot be told, and `recovered` that podman's log had to complete it. `seconds` is the time
    from when its process was asked for to its end.
    """

    def __init__(
        self,
        podman: Podman,
        container: Container,
        sink: Sink,
        *,
        timeout: float | None,
        grace: float,
        gate: Gate,
        hurry: anyio.Event,
        before_start: Callable[[], Awaitable[None]] | None = None,
        stdin: OpenStdin | None = None,
    ) -> None:
        self.deadline_hit = False
        self.terminated = False
        self.recovered = False
        self.seconds = 0.0
        self.problem: str | None = None
        self.doubt: str | None = None
        self._received = Received()
        self._chunks: AsyncIterator[Chunk] | None = None
        self._presence = 0
        self._began = 0.0
        self._podman = podman
        self._container = container
        self._sink = sink
        self._timeout = timeout
        self._grace = grace
        self._gate = gate
        self._hurry = hurry
        self._before_start = before_start
        self._feed = None if stdin is None else Feed(stdin)
        self._attachment: Attachment | None = None
        self._unreadable: BarasyncError | None = None
        self._ended = anyio.Event()
        self._reading = CancelScope()

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the container, attached until `stack` is closed.

        Raises:
            OCIRuntimeError, PodmanError: as `Container.start_attached`.
            Exception: as `before_start`.
        """
        async with self._gate.passed():
            self._presence = await self._podman.presence.count()
            self._began = anyio.current_time()
            try:
                await self._attach(stack)
            except TransportError:
                state = await self._container.inspect()
                # Podman died over it. Once the command runs its output is in the log, all of it.
                if not state.state.started:
                    await self._attach(stack)

    async def kill(self) -> None:
        """Kill the container, as at its deadline: `run` returns its last state then.

        Waits for podman's answer, not for the end. When cancelled, it may be killed all the same.

        Raises:
            PodmanError: podman did not; `Conflict` where it has ended by itself.
        """
        self.deadline_hit = True
        await self._container.kill("SIGKILL")

    async def run(self) -> ContainerInspect:
        """Take the output to its end and return the state the container ended in.

        Raises:
            TimeoutError: the container did not end although it was killed.
            NoVerdict: it has ended, or will not be seen to end, and nobody can tell how; or it was
                not given all of its stdin.
            PodmanError: podman cannot be asked, or has no such container any more.
        """
        state: ContainerInspect | None = None
        failure: PodmanError | TimeoutError | NoVerdict | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            group.start_soon(self._pass_stdin)
            # Whoever cancels us cancels the watcher, which gives the container its grace.
            with CancelScope(shield=True) as self._reading:
                try:
                    state = await self._read()
                except (PodmanError, TimeoutError, NoVerdict) as error:
                    failure = error
            self._ended.set()
            self.seconds = anyio.current_time() - self._began
            group.cancel_scope.cancel()
        await anyio.lowlevel.checkpoint()
        if self._unreadable is not None and state is None:
            raise NoVerdict(f"{self._unreadable}; the command was ended") from self._unreadable
        if failure is not None:
            raise failure
        if state is None:
            return await _brought_to_an_end(self._container)
        # Only now: a deadline that came meanwhile would be taken for what killed it.
        await self._rule_out_removal(state)
        return state

    async def _attach(self, stack: AsyncExitStack) -> None:
        container, before_start = self._container, self._before_start
        if self._feed is None:
            attached = container.start_attached(self._received, before_start=before_start)
            self._chunks = await stack.enter_async_context(attached)
        else:
            talked_to = container.start_attached_stdin(self._received, before_start=before_start)
            self._attachment = await stack.enter_async_context(talked_to)
            self._chunks = self._attachment.output

    async def _pass_stdin(self) -> None:
        if self._feed is None or self._attachment is None:
            return
        try:
            await self._feed.into(self._attachment)
        except BarasyncError as error:
            self._unreadable = error
            self._give_up("the command was ended because its stdin cannot be read")

    async def _read(self) -> ContainerInspect:
        whole = self._chunks is not None and await self._pump(self._chunks)
        output_ended = anyio.current_time()
        try:
            state = await self._container.inspect()
            away = await self._podman_was_away()
            if self._feed is not None and not away and state.state.ended and not whole:
                # Of a stdin that was not read to its end podman closes the connection as one that
                # is broken, behind all of the output.
                whole, self.problem = True, None
            cut = not whole or away
            if away and self._feed is not None and self._feed.is_at_stake:
                await self._complete(follow=False)
                raise NoVerdict(
                    "podman broke off the connection to the command, which may not have had all of"
                    " its stdin"
                )
            while not state.state.ended:
                state = await self._next_state(follow=cut)
                cut = cut or await self._podman_was_away()
        except NotFound:
            raise
        except MonitorLost:
            await self._complete(follow=False)
            self.problem = "what it printed after its monitor was gone is lost"
            raise
        except PodmanError as error:
            if not whole or await self._podman_was_away():
                raise
            await self._complete(follow=False)
            raise NoVerdict(
                f"the command has ended, as far as its output tells, but podman did not tell how: "
                f"{error}"
            ) from error
        if cut:
            self.problem = None
            await self._complete(follow=False)
        elif self.problem is None:
            late = anyio.current_time() - output_ended > _SOON_SECONDS
            await self._verify(state, late=late)
        return state

    async def _podman_was_away(self) -> bool:
        return await self._podman.presence.count() != self._presence

    async def _rule_out_removal(self, state: ContainerInspect) -> None:
        """Look again, for a moment, at a container that was killed and not by us.

        Whoever removes a running container kills it first, and for some 0.1 s it is there and has
        ended. Removing it meanwhile succeeds for both (measured on 4.3.1 and 5.4.2).

        Raises:
            NotFound: it is gone.
        """
        ours = self.deadline_hit or self.terminated
        if ours or state.state.oom_killed or state.state.exit_code not in _KILLED:
            return
        with anyio.move_on_after(_REMOVAL_SECONDS):
            while True:
                try:
                    await self._container.inspect()
                except NotFound:
                    raise
                except PodmanError:
                    # How it ended is known; what podman does not tell now is no removal.
                    return
                await anyio.sleep(_REMOVAL_PAUSE_SECONDS)

    async def _pump(self, chunks: AsyncIterator[Chunk]) -> bool:
        """Write what comes; tell whether the stream has ended in order, as far as that can be told.

        What podman should have passed on and did not is lost from here: where it would have stood
        there is other output.
        """
        try:
            async for chunk in chunks:
                await self._sink.write(chunk)
        except OutputLost as error:
            self.problem = f"not all output has arrived: {error}"
        except PodmanError as error:
            self.problem = f"not all output has arrived: {error}"
            return False
        return True

    async def _next_state(self, *, follow: bool) -> ContainerInspect:
        """Wait for the container to end; return earlier, with its state, if podman goes away."""
        state: ContainerInspect | None = None
        failure: PodmanError | NoVerdict | None = None
        async with anyio.create_task_group() as group:
            if follow:
                group.start_soon(partial(self._complete, follow=True))
            try:
                state = await until_ended(self._container)
            except (PodmanError, NoVerdict) as error:
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        assert state is not None, "waiting ends with a state or a failure"
        return state

    async def _complete(self, *, follow: bool) -> None:
        """Write what podman's log has beyond what has come."""
        try:
            await self._copy_log(follow=follow)
        except PodmanError as error:
            self.problem = f"not all output has arrived, and podman's log has no more: {error}"

    async def _verify(self, state: ContainerInspect, *, late: bool) -> None:
        """Compare an output that ended in order with podman's log, and add what did not come.

        The length of the log's file tells, where that can be seen. Otherwise the log is read, a
        long one only if the container went on after its output: that takes a while.
        """
        path = state.host_config.log_config.path
        whole = await is_as_long_as_its_log(self._received, path)
        if whole or (whole is None and self._received.is_long and not late):
            return
        try:
            await self._copy_log(follow=False)
        except LogIncomplete as error:
            self.doubt = f"whether all output has arrived cannot be verified: {error}"
        except PodmanError as error:
            self.problem = f"not all output has arrived: {error}"

    async def _copy_log(self, *, follow: bool) -> None:
        async with self._container.remaining_output(self._received, follow=follow) as chunks:
            async for chunk in chunks:
                self.recovered = True
                await self._sink.write(chunk)

    async def _watch(self) -> None:
        try:
            if self._timeout is None:
                await anyio.sleep_forever()
            else:
                await anyio.sleep(self._timeout)
                await self._enforce_deadline()
        except get_cancelled_exc_class():
            if not self._ended.is_set():
                with CancelScope(shield=True):
                    await self._wind_down()
                self._reading.cancel()
            raise

    async def _wind_down(self) -> None:
        """Let a container that is to be given up end by itself, if it may."""
        if not self._grace or self.terminated or self._hurry.is_set():
            return
        with suppress(PodmanError):
            await self._container.kill("SIGTERM")
            await self._wait_for_end()

    async def _enforce_deadline(self) -> None:
        if self._grace:
            # Not to be cut short by the end that it brings about: the answer decides the verdict.
            with CancelScope(shield=True), suppress(PodmanError):
                await self._container.kill("SIGTERM")
                self.terminated = True
            await self._wait_for_end()
        # Known before the request: the stream may end, and this task with it, before its answer.
        self.deadline_hit = True
        try:
            await self._container.kill("SIGKILL")
        except Conflict:
            return  # it ended by itself in this very moment, and its exit code will tell
        except PodmanError as error:
            self._give_up(f"podman did not kill the container: {error}")
            return
        await anyio.sleep(_DEATH_SECONDS)
        self._give_up("its output did not end although the container was killed")

    async def _wait_for_end(self) -> None:
        """Wait for the container's end, for the grace at most, and not when there is a hurry."""
        async with anyio.create_task_group() as group:
            group.cancel_scope.deadline = anyio.current_time() + self._grace

            async def until(event: anyio.Event) -> None:
                await event.wait()
                group.cancel_scope.cancel()

            group.start_soon(until, self._ended)
            group.start_soon(until, self._hurry)

    def _give_up(self, problem: str) -> None:
        self.problem = problem
        self._reading.cancel()


async def _brought_to_an_end(container: Container) -> ContainerInspect:
    """Kill a container that ought to have ended; return its state once podman says it has exited.

    Raises:
        TimeoutError: it still runs, by what podman says.
    """
    with suppress(Conflict):
        await container.kill("SIGKILL")
    with anyio.fail_after(_DEATH_SECONDS):
        with suppress(APIError):
            await container.wait()
        state = await container.inspect()
    if not state.state.ended:
        raise TimeoutError
    return state
