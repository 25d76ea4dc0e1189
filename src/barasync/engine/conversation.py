"""A running container that somebody talks to, until its end or until it is left to itself.

What is said goes to whoever talks and nowhere else: it is not recorded, and not compared with
podman's log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import anyio

from barasync.aiopodman import Attachment, Container, ContainerInspect, Podman
from barasync.engine.dialogue import Dialogue
from barasync.engine.drain import Drain, Sink
from barasync.engine.ending import NoVerdict
from barasync.engine.gate import Gate
from barasync.errors import BarasyncError


class Conversation(Drain):
    """A drain whose output goes to a dialogue; see `Drain` for deadline, grace and hurry.

    Afterwards `detached` says that the container runs and is to go on.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        podman: Podman,
        container: Container,
        sink: Sink,
        *,
        timeout: float | None,
        grace: float,
        gate: Gate,
        hurry: anyio.Event,
        before_start: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(
            podman,
            container,
            sink,
            timeout=timeout,
            grace=grace,
            gate=gate,
            hurry=hurry,
            before_start=before_start,
        )
        self.detached = False
        self._dialogue = dialogue
        self._attachment: Attachment | None = None
        self._prepare = before_start

    async def _attach(self, stack: AsyncExitStack) -> None:
        self._attachment = await stack.enter_async_context(self._container.attach_stdin())
        await self._prepare()
        await self._container.start()

    async def _read(self) -> ContainerInspect:
        assert self._attachment is not None, "`run` comes after `start`"
        try:
            left = await self._dialogue.converse(self._attachment, self._container)
        except BarasyncError as error:
            raise NoVerdict(f"nobody could talk to the command any more: {error}") from error
        state = await self._container.inspect()
        # One that has ended before it was left is no container that goes on.
        self.detached = left and not state.state.ended
        if self.detached:
            return state
        while not state.state.ended:
            if await self._podman_was_away():
                raise NoVerdict("podman broke off the connection to the command")
            state = await self._next_state(follow=False)
        return state
