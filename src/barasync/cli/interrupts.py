"""Ctrl-C and its relatives: one orderly stop, however often they come."""

from __future__ import annotations

import gc
import signal
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn, TypeVar

import anyio
import typer
from anyio.abc import TaskStatus

from barasync.cli.signals import heeded, noted, noting, take_as_ctrl_c, take_as_haste
from barasync.errors import EXIT_INTERRUPTED

Handler = Callable[[int], None]
"""Called with the number of signals so far, from 1; all that come of a terminal's end are one."""

_BYTES = 256
_THREAD_SECONDS = 5.0
T = TypeVar("T")


class Interrupts:
    """What a signal does: it calls the handler in force, else the whole command is cancelled.

    `scope` is the command's.
    """

    def __init__(self, scope: anyio.CancelScope) -> None:
        self.count = 0
        self._hung_up = False
        self._handler: Handler | None = None
        self._others: dict[int, Callable[[], None]] = {}
        self._scope = scope

    @contextmanager
    def handled_by(self, handler: Handler) -> Iterator[None]:
        """Let `handler` take the signals that arrive during the block."""
        before, self._handler = self._handler, handler
        try:
            yield
        finally:
            self._handler = before

    @contextmanager
    def taking(self, number: signal.Signals, handler: Callable[[], None]) -> Iterator[None]:
        """Let `handler` take a signal that does not ask for an end, such as SIGWINCH, in the block.

        It is called in the event loop, for each signal or for several at once.
        """
        with noting(number):
            self._others[number] = handler
            try:
                yield
            finally:
                del self._others[number]

    async def watch(self, signals: socket.socket, *, task_status: TaskStatus[None]) -> None:
        """Act on every signal that is noted until cancelled."""
        heard = heeded()
        task_status.started()
        while True:
            await anyio.wait_readable(signals)
            for number in signals.recv(_BYTES):
                if number == signal.SIGHUP and number in heard:
                    self.hang_up()
                elif number in heard:
                    self.interrupt()
                elif number in self._others:
                    self._others[number]()

    def interrupt(self) -> None:
        """Do what a signal does that asks for an end."""
        self.count += 1
        if self._handler is None:
            self._scope.cancel()
        else:
            self._handler(self.count)

    def hang_up(self) -> None:
        """Do what SIGHUP does: with whoever sat here gone, it asks for an end once.

        One window that is closed makes several of them, of the kernel and of a shell, and an error
        of whoever reads the terminal. Nobody is in a hurry because of that.
        """
        if not self._hung_up:
            self._hung_up = True
            self.interrupt()


@asynccontextmanager
async def interruptible(signals: socket.socket) -> AsyncIterator[Interrupts]:
    """Handle the signals that are `noted` for the duration of the block.

    A signal without a handler cancels the block; that is swallowed here, and `count` tells. Those
    that come while it clears up after itself are heard, and change nothing about that.
    """
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            interrupts = Interrupts(scope)
            await group.start(interrupts.watch, signals)
            yield interrupts
        group.cancel_scope.cancel()


def finish(command: Callable[[Interrupts], Awaitable[int]]) -> NoReturn:
    """Run an async command to its exit code; 130 where a signal ended it before it had one."""

    async def with_signals(signals: socket.socket) -> int:
        code = EXIT_INTERRUPTED
        try:
            async with interruptible(signals) as interrupts:
                code = await command(interrupts)
        finally:
            # An exception in the event loop would end in a traceback.
            take_as_haste(code)
        return code

    # Now that all is loaded, garbage is looked for again; not among what there is.
    gc.freeze()
    gc.enable()
    try:
        with noted() as signals:
            try:
                code = anyio.run(with_signals, signals)
            except BaseException:
                # For as long as it takes to explain it.
                take_as_ctrl_c()
                raise
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


def answer_of(question: Callable[[], Awaitable[T]]) -> T:
    """Run an async question to its answer, before the work of the command, and leave no thread.

    Raises:
        typer.Exit: with 130, a signal ended the command before there was an answer.
    """
    answers: list[T] = []
    before = set(threading.enumerate())

    async def with_signals(signals: socket.socket) -> None:
        async with interruptible(signals):
            answers.append(await question())

    with noted() as signals:
        try:
            anyio.run(with_signals, signals)
        finally:
            take_as_ctrl_c()
    # Those of anyio end by themselves, after the event loop.
    for thread in set(threading.enumerate()) - before:
        thread.join(_THREAD_SECONDS)
    if not answers:
        raise typer.Exit(EXIT_INTERRUPTED)
    return answers[0]
