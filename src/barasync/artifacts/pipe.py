"""Bytes from a task to a worker thread, with a bound on what lies between them.

A task that reads the socket must not wait for the disk, and a thread that writes must not go to the
event loop for every 64 KiB: the thread takes everything that has arrived at once, and only a full
pipe makes the task wait.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from anyio import from_thread

_LARGE_BYTES = 64 << 10
TURNS = min(4, os.cpu_count() or 1)


class PipeAborted(Exception):
    """The writing side gave up: what was read so far is not everything."""


class _Turns:
    """A number of turns, which go round in the order in which they are asked for.

    A semaphore would be taken again by who has just released it: one thread with enough to read
    would hold up all others.
    """

    def __init__(self, number: int) -> None:
        self.free = number
        self.waiting: deque[_Turn] = deque()
        self.state = threading.Lock()


class _Turn:
    """What one thread has of the turns: one, or none."""

    def __init__(self, turns: _Turns) -> None:
        self._turns = turns
        self._called = threading.Condition(turns.state)
        self._held = False
        self._refused = False

    def take(self) -> None:
        """Wait for a turn.

        Raises:
            PipeAborted: it was refused, before or meanwhile.
        """
        with self._turns.state:
            if not self._refused and self._turns.free:
                self._turns.free -= 1
                self._held = True
            elif not self._refused:
                self._turns.waiting.append(self)
                while not self._held and not self._refused:
                    self._called.wait()
            if not self._held:
                raise PipeAborted

    def give(self) -> None:
        """Hand the turn on, if there is one."""
        with self._turns.state:
            if not self._held:
                return
            self._held = False
            if self._turns.waiting:
                self._turns.waiting.popleft().receive()
            else:
                self._turns.free += 1

    def receive(self) -> None:
        """Get the turn of another, who has the lock of all of them."""
        self._held = True
        self._called.notify()

    def refuse(self) -> None:
        """Let the thread have no other turn, and wait for none; may be called by any thread."""
        with self._turns.state:
            self._refused = True
            if self in self._turns.waiting:
                self._turns.waiting.remove(self)
                self._called.notify()


# Taken by the threads of all readers that are not waiting for bytes, see `Pipe.reading`.
_turns = _Turns(TURNS)


class Pipe:
    """One writer, a task (`send`, `finish`, `abort`), and one reader, a thread (`read`).

    At most `capacity` bytes and one piece lie in it; the reader is woken for `batch` bytes or the
    end. The thread must have been started by `anyio.to_thread.run_sync`. A writer whose reader has
    ended may wait for ever: cancel it then.
    """

    def __init__(self, *, capacity: int = 2 << 20, batch: int = 256 << 10) -> None:
        self._capacity = capacity
        # Below a batch the reader waits, so the writer must have been let on before that.
        self._batch = min(batch, capacity // 2)
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._finished = False
        self._aborted = False
        self._room: anyio.Event | None = None
        self._state = threading.Condition()
        self._turn = _Turn(_turns)

    async def send(self, data: bytes) -> None:
        """Add `data`; waits while the pipe is full."""
        with self._state:
            self._pieces.append(data)
            self._size += len(data)
            room = anyio.Event() if self._size > self._capacity else None
            self._room = room
            if self._size >= self._batch:
                self._state.notify()
        if room is not None:
            await room.wait()

    def finish(self) -> None:
        """Say that there is no more; the reader gets what is left, then the end."""
        with self._state:
            self._finished = True
            self._state.notify()

    def abort(self) -> None:
        """Make the reader fail at its next `read`, whatever was sent; may be called at any time.

        It waits for nothing any more, neither bytes nor its turn.
        """
        with self._state:
            self._aborted = True
            self._state.notify()
        self._turn.refuse()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, at least one; waits for a batch; empty at the end.

        A reader that works for long on what it has asks for no bytes at times: it gets none, at
        once, and hears whether the writer gave up.

        Raises:
            PipeAborted: the writer gave up.
        """
        with self._state:
            while size and self._size < self._batch and not (self._finished or self._aborted):
                self._state.wait()
            if self._aborted:
                raise PipeAborted
            if not size:
                return b""
            data = self._gather(size)
            room = None
            if self._size <= self._capacity // 2:
                room, self._room = self._room, None
        if room is not None:
            from_thread.run_sync(room.set)
        return data

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], bytes]]:
        """Give a `read` to a thread that works on what it reads, in turn with all other such.

        Threads that write small files give the interpreter away at every system call, and eight of
        them take it from each other at every one: 80,000 files took 522,000 changes of thread and
        four times the CPU. In turn, they change once a batch. As many as there are processors work
        at a time, at most four: making a file on a disk takes the kernel longer than it takes us.

        What a thread does for long without reading has no place in here: nobody takes a turn away.

        Raises:
            PipeAborted: the writer gave up; also from `read`, which leaves the thread no turn.
        """

        def read(size: int) -> bytes:
            self._turn.give()
            data = self.read(size)
            self._turn.take()
            return data

        self._turn.take()
        try:
            yield read
        finally:
            self._turn.give()

    def _gather(self, size: int) -> bytes:
        """Take small pieces together, and a large one alone: copying it would gain nothing."""
        gathered: list[bytes] = []
        while self._pieces and size and not (gathered and len(self._pieces[0]) >= _LARGE_BYTES):
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(piece[size:])
                piece = piece[:size]
            gathered.append(piece)
            size -= len(piece)
            self._size -= len(piece)
            if len(piece) >= _LARGE_BYTES:
                break
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)
