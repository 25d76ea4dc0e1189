"""The console: shows a run while it goes on, without ever holding it back.

It gets no output from the engine. It follows the cells' log files at its own pace, so a terminal
that stands still (`| less`, Ctrl-S, a stopped reader) slows nothing, costs no memory and loses
nothing.

Everything that blocks happens on one thread of its own. That thread is a daemon: a write to a
terminal that stands still cannot be interrupted, and anyio's worker threads are joined when the
interpreter exits, so a second Ctrl-C would hang there (measured with anyio 4.16 on asyncio).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Protocol, Self

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

from barasync.events import AnyEvent

_FAREWELL_SECONDS = 0.5


class View(Protocol):
    """A way to show a run. The console calls it from its thread only; every method may block."""

    def event(self, event: AnyEvent) -> None:
        """Take note of an event, and say what is to be said of it."""

    def written(self, cell: str) -> None:
        """Take note that the log of a cell has grown."""

    def step(self) -> float | None:
        """Show the next piece of what waits to be shown.

        Returns the seconds until the next step is due, 0.0 when more is waiting already, `None`
        when nothing is to be shown before something happens.
        """

    def close(self, summary: Sequence[str]) -> None:
        """Leave the terminal as it was found, and end with the lines of the summary."""


@dataclass(frozen=True, slots=True)
class _Written:
    cell: str


@dataclass(frozen=True, slots=True)
class _Finish:
    summary: Sequence[str]


_Message = AnyEvent | _Written | _Finish


class Console:
    """Runs a view beside the engine.

    Use as an async context manager around the run. `emit` and `written` may be called from the
    event loop's thread and return at once. `finish` shows what is still to be shown.

    Cancelling whoever waits in `finish` gives up on a terminal that stands still: what it has not
    shown lies in the log files. That is the meaning of a second Ctrl-C; the first one cancels the
    engine only, in a scope inside this context. On leaving the context without `finish` the console
    catches up too, then ends without a summary.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self._announced: set[str] = set()
        self._ended = anyio.Event()
        self._finishing = False
        self._abandoned = False
        self._left = False
        self._defect: Exception | None = None

    async def __aenter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._serve, args=(current_token(),), name="barasync console", daemon=True
        )
        self._thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if not self._abandoned:
                await self._catch_up(())
        finally:
            if not self._ended.is_set():
                self.abandon()
                # The view restores the terminal, unless that is where its thread hangs.
                with anyio.move_on_after(_FAREWELL_SECONDS, shield=True):
                    await self._ended.wait()
            self._left = True

    def emit(self, event: AnyEvent) -> None:
        """Show an event, at some time; never waits."""
        self._inbox.put(event)

    def written(self, cell: str) -> None:
        """Show what was appended to the log of a cell, at some time; never waits."""
        if cell not in self._announced:
            self._announced.add(cell)
            self._inbox.put(_Written(cell))

    def abandon(self) -> None:
        """Show no more than what is being shown; leaving the context then waits for a moment only.

        It may be in the middle of a write that never ends.
        """
        self._abandoned = True
        self._tell_of_the_end(())

    async def finish(self, summary: Sequence[str] = ()) -> None:
        """Show what waits to be shown, then the lines of the summary, and end.

        Raises:
            Exception: a defect of the view, which has ended it before.
        """
        try:
            await self._catch_up(summary)
        except anyio.get_cancelled_exc_class():
            self.abandon()
            raise
        if self._defect is not None:
            raise self._defect

    async def _catch_up(self, summary: Sequence[str]) -> None:
        self._tell_of_the_end(summary)
        await self._ended.wait()

    def _tell_of_the_end(self, summary: Sequence[str]) -> None:
        if not self._finishing:
            self._finishing = True
            self._inbox.put(_Finish(tuple(summary)))

    def _serve(self, token: EventLoopToken) -> None:
        try:
            self._show()
        except Exception as error:  # noqa: BLE001 - a thread has no caller: `finish` raises it
            self._defect = error
        # A console that was given up has nobody who waits, and perhaps no event loop any more.
        if not self._left:
            with suppress(RuntimeError):
                from_thread.run_sync(self._ended.set, token=token)

    def _show(self) -> None:
        summary: Sequence[str] = ()
        try:
            summary = self._follow()
        finally:
            self._view.close(summary)

    def _follow(self) -> Sequence[str]:
        """Let the view work until it has shown all there is; return the summary."""
        finish: _Finish | None = None
        while not self._abandoned:
            due = self._view.step()
            if finish is not None and due != 0.0:
                return finish.summary
            match self._next(due):
                case None:
                    pass
                case _Finish() as finish:
                    pass
                case _Written(cell):
                    # First forget the announcement, then read: what is written from here on is
                    # announced again.
                    self._announced.discard(cell)
                    self._view.written(cell)
                case event:
                    self._view.event(event)
        return ()

    def _next(self, timeout: float | None) -> _Message | None:
        try:
            return self._inbox.get(block=timeout != 0.0, timeout=timeout)
        except Empty:
            return None


class Consoles:
    """Several consoles that hear the same, each at its own pace; used like one.

    The summary goes to the view that was given first, and to nobody where there is none.
    """

    def __init__(self, views: Sequence[View]) -> None:
        self._consoles = [Console(view) for view in views]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for console in self._consoles:
            await self._stack.enter_async_context(console)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    def emit(self, event: AnyEvent) -> None:
        """Show an event, at some time; never waits."""
        for console in self._consoles:
            console.emit(event)

    def written(self, cell: str) -> None:
        """Show what was appended to the log of a cell, at some time; never waits."""
        for console in self._consoles:
            console.written(cell)

    async def finish(self, summary: Sequence[str] = ()) -> None:
        """Show what waits to be shown, then the lines of the summary, and end.

        Raises:
            Exception: a defect of a view, which has ended it before.
        """
        try:
            for number, console in enumerate(self._consoles):
                await console.finish(() if number else summary)
        except anyio.get_cancelled_exc_class():
            for console in self._consoles:
                console.abandon()
            raise
