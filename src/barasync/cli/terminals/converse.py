"""A conversation of whoever sits here with a container: both directions, until one side ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from typing import Protocol

import anyio

from barasync.aiopodman import Chunk, PodmanError, Stream
from barasync.cli.signals import came
from barasync.cli.terminals.ahead import Ahead
from barasync.cli.terminals.detach_keys import DetachKeys
from barasync.cli.terminals.ends import CannotPassOn, End
from barasync.cli.terminals.here import Here
from barasync.cli.terminals.pieces import PIECE_BYTES, read_piece
from barasync.cli.terminals.raw_mode import RawMode, raw_mode
from barasync.errors import BarasyncError
from barasync.report.channel import Channel
from barasync.report.writer import Writer

Resize = Callable[[int, int], Awaitable[None]]
"""Told the columns and rows that the container's terminal is to have."""

# Read ahead of a container that takes nothing, so that the keys that detach are found: more than
# anybody types.
_TYPED_BYTES = 1 << 20
# A terminal has no end but what is typed for one, first for a line that was begun.
_END_OF_FILE = b"\x04\x04"
# For a container to take what was typed before the keys that detach.
_LAST_WORDS_SECONDS = 2.0


class Talk(Protocol):
    """What of an `Attachment` of `aiopodman` a conversation needs, from several tasks at once."""

    @property
    def output(self) -> AsyncIterator[Chunk]:
        """What the container prints; ends when nothing follows, or raises `PodmanError`."""

    async def send(self, data: bytes) -> None:
        """Send all of `data` to the container's stdin.

        Raises:
            PodmanError: nobody takes it any more.
        """

    async def close_stdin(self) -> None:
        """Let the container read the end of its stdin; raises as `send` does."""


async def converse(
    attachment: Talk, here: Here, *, resize: Resize | None = None, detach_keys: bytes = b""
) -> End:
    """Pass on what comes here to a container, and what it prints to here, until one side ends.

    `resize` is given where the container has a terminal. If stdin here is one as well, it is in raw
    mode meanwhile, `detach_keys` (see `parse_detach_keys`) are looked for, and the container's
    terminal follows the size of this one. Any other stdin is passed on to its end; then the
    container's is closed, or told the end with Ctrl-D if that is a terminal.

    Nothing is read from the container while what came before waits to be written: a program that
    prints faster than it is read is held back, as on any terminal or pipe, and all that is here is
    one piece of its output. Kept without a limit, that would fill the memory; kept in a file, it
    would still be shown long after Ctrl-C. Podman's monitor waits as well meanwhile and takes
    nothing that is typed; the keys that detach are found all the same.

    Who detaches is at the beginning of a line then. The attachment stays open. Cancelled, it leaves
    the terminal as it was; a piece that waits to be written may still be, for as long as the
    process lasts.

    Raises:
        PodmanError: the connection broke.
        CannotPassOn: stdin cannot be read, or stdout or stderr not written, and somebody is there.
    """
    conversation = _Conversation(attachment, here, resize, detach_keys)
    with ExitStack() as stack:
        out, error = stack.enter_context(Writer(here.out)), stack.enter_context(Writer(here.error))
        mode = None
        if conversation.is_raw:
            assert here.stdin is not None
            mode = stack.enter_context(
                raw_mode(
                    here.stdin,
                    here.interrupts,
                    channels=(here.out, here.error),
                    changed=conversation.ask_for_size,
                )
            )
        return await conversation.hold(out, error, mode)


class _Conversation:
    def __init__(
        self, attachment: Talk, here: Here, resize: Resize | None, detach_keys: bytes
    ) -> None:
        self.is_raw = resize is not None and here.stdin is not None and os.isatty(here.stdin)
        self._attachment = attachment
        self._here = here
        self._resize = resize
        self._keys = DetachKeys(detach_keys if self.is_raw else b"")
        self._end: End | Exception | None = None
        self._scope = anyio.CancelScope()
        self._size_asked = anyio.Event()
        self._size_refused: bool | None = None
        self._within_a_line = False

    def ask_for_size(self) -> None:
        """Have the container's terminal take the size of ours."""
        self._size_asked.set()

    async def hold(self, out: Writer, error: Writer, mode: RawMode | None) -> End:
        """Let all parts of the conversation go on until one of them ends it."""
        typed = Ahead(_TYPED_BYTES if self.is_raw else 0)
        self.ask_for_size()
        async with anyio.create_task_group() as group:
            self._scope = group.cancel_scope
            group.start_soon(self._guard, partial(self._listen, out, error))
            group.start_soon(self._guard, partial(self._read, typed))
            group.start_soon(self._guard, partial(self._send, typed))
            if mode is not None:
                group.start_soon(self._follow_size, mode)
        if isinstance(self._end, Exception):
            raise self._end
        assert self._end is not None
        if self._end is End.DETACHED and self._within_a_line and self._here.out.terminal:
            # What is said now is not to stand behind a prompt.
            with anyio.move_on_after(_LAST_WORDS_SECONDS):
                await out.write(b"\r\n")
        return self._end

    async def _guard(self, part: Callable[[], Awaitable[None]]) -> None:
        """End the conversation with what a part of it fails with, which is not a group then."""
        try:
            await part()
        except (BarasyncError, PodmanError) as error:
            self._finish(error)

    def _finish(self, end: End | Exception) -> None:
        if self._end is None:
            self._end = end
            if end is End.HUNG_UP:
                # As if it had come: it need not.
                came(signal.SIGHUP)
        self._scope.cancel()

    async def _listen(self, out: Writer, error: Writer) -> None:
        """Show what the container prints, at the pace at which that is read."""
        async for chunk in self._attachment.output:
            if chunk.stream is Stream.STDERR:
                await error.write(chunk.data)
                # Without a reader it is lost, as that of a program is which does not mind.
                _require_written(self._here.error, "stderr")
            else:
                # Keys may answer it, and end this, before it is known to be written.
                self._within_a_line = not chunk.data.endswith(b"\n")
                await out.write(chunk.data)
                _require_written(self._here.out, "stdout")
            if self._here.out.closed:
                self._finish(End.HUNG_UP if self._here.out.terminal else End.UNREAD)
                return
            if self._size_refused:
                self._size_refused = False
                self.ask_for_size()
        self._finish(End.ENDED)

    async def _read(self, typed: Ahead) -> None:
        """Read our stdin to its end, or to the keys that detach."""
        while data := await read_piece(self._here.stdin):
            passed = self._keys.feed(data)
            if passed and not await typed.put(passed):
                return
            if self._keys.detached:
                break
        typed.end()
        if self._keys.detached:
            with anyio.move_on_after(_LAST_WORDS_SECONDS):
                # Ends the conversation once all is sent.
                await anyio.sleep_forever()
            self._finish(End.DETACHED)
        elif self.is_raw or data is None:
            self._finish(End.HUNG_UP)

    async def _send(self, typed: Ahead) -> None:
        """Send what was read; what nobody takes is dropped, and the end of the output is near."""
        while data := await typed.take(PIECE_BYTES):
            try:
                await self._attachment.send(data)
            except PodmanError:
                if not self.is_raw:
                    typed.refuse()
                    return
        if self._keys.detached:
            self._finish(End.DETACHED)
        elif not self.is_raw:
            try:
                if self._resize is not None:
                    await self._attachment.send(_END_OF_FILE)
                await self._attachment.close_stdin()
            except PodmanError:
                return

    async def _follow_size(self, mode: RawMode) -> None:
        """Give the container's terminal the size of ours whenever that may be another one.

        Podman refuses it before the container's terminal is there, so that it is asked for once
        more when the first output shows that it is; and after the end, when it does not matter.
        """
        assert self._here.stdin is not None
        assert self._resize is not None
        while True:
            await self._size_asked.wait()
            self._size_asked = anyio.Event()
            await mode.renew()
            try:
                size = os.get_terminal_size(self._here.stdin)
            except OSError:
                # It has hung up, which reading it tells.
                return
            if not size.columns or not size.lines:
                continue
            try:
                await self._resize(size.columns, size.lines)
            except PodmanError:
                self._size_refused = self._size_refused is None


def _require_written(channel: Channel, name: str) -> None:
    if channel.problem is not None:
        raise CannotPassOn(
            f"{name} cannot be written: {channel.problem.strerror}",
            hint="what the container printed is not there whole",
        )
