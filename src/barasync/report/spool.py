"""The spool: takes a container's output as fast as the disk does, whoever may read it later.

The engine's reader must never wait for a terminal: a container whose output nobody reads stands
still (podman's conmon writes to an attached client with blocking calls). So output goes to files,
and whoever shows it follows the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio import to_thread

from barasync.aiopodman.wire.frames import Chunk, Stream
from barasync.matrix.outcome import OutputCounts
from barasync.report.files import OUTPUT_LOG, STDERR_LOG, STDOUT_LOG

_BOUND_BYTES = 1024 * 1024
# What a chunk costs beside its data: a container may send single bytes to alternating streams.
_CHUNK_BYTES = 128
_URGENT_BYTES = 256 * 1024
_LINGER_SECONDS = 0.02
_FILE_MODE = 0o666


class CellLog:
    """The three log files of an attempt: `stdout.log`, `stderr.log`, and both in `output.log`.

    Or one for both, by the name `only`.

    Writing happens behind the reader, in a worker thread, in batches: while one batch is written
    the next one gathers, and only when that is full (1 MiB) does `write` wait. Small pieces gather
    for up to 20 ms, because handing a batch to a thread costs more than writing it: 16 cells of
    450 lines/s each took 0.25 of a core so, and 1.1 without. `on_written` is called on the event
    loop, with the cell's id, once a batch is in all its files.

    A full disk does not end a run: the first `OSError` is kept in `problem`, what comes later is
    counted and dropped, and `counts` says that the output is incomplete.

    Use as an async context manager: it makes the directory, opens the files and closes them. All
    that was taken is written before it exits, cancelled or not.
    """

    def __init__(
        self,
        directory: Path,
        cell: str,
        *,
        on_written: Callable[[str], None],
        only: str | None = None,
    ) -> None:
        self._cell = cell
        self._on_written = on_written
        self._files = _LogFiles(directory, only)
        self._taken = {Stream.STDOUT: 0, Stream.STDERR: 0}
        self._batch: list[Chunk] = []
        self._batch_bytes = 0
        self._closing = False
        self._arrived = anyio.Event()
        self._urgent = anyio.Event()
        self._room = anyio.Event()
        # A thread of its own: extracting archives may hold all those of anyio's default limiter.
        self._limiter = anyio.CapacityLimiter(1)
        self._group = anyio.create_task_group()

    @property
    def problem(self) -> OSError | None:
        """Why output is missing from the files; `None` as long as none is."""
        return self._files.problem

    @property
    def counts(self) -> OutputCounts:
        """The bytes taken so far; complete unless a file could not be written."""
        return OutputCounts(
            stdout_bytes=self._taken[Stream.STDOUT],
            stderr_bytes=self._taken[Stream.STDERR],
            complete=self.problem is None,
        )

    async def __aenter__(self) -> Self:
        await to_thread.run_sync(self._files.open, limiter=self._limiter)
        await self._group.__aenter__()
        self._group.start_soon(self._write_behind)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        self._arrived.set()
        self._urgent.set()
        # The group only joins the writer: an error of the body is the caller's and stays bare.
        await self._group.__aexit__(None, None, None)

    async def write(self, chunk: Chunk) -> None:
        """Take a piece of output; waits only when the disk is a whole batch behind.

        When cancelled while it waits, the piece is taken all the same.
        """
        if not chunk.data:
            return
        stream = Stream.STDERR if chunk.stream is Stream.STDERR else Stream.STDOUT
        self._taken[stream] += len(chunk.data)
        self._batch.append(chunk)
        self._batch_bytes += len(chunk.data) + _CHUNK_BYTES
        self._arrived.set()
        if self._batch_bytes >= _URGENT_BYTES:
            self._urgent.set()
        while self._batch_bytes >= _BOUND_BYTES:
            await self._room.wait()

    async def _write_behind(self) -> None:
        # Ends when the log is closed, never by cancellation: what was taken is to be kept. A batch
        # is bounded, and so is the time that writing it takes, by the disk.
        with anyio.CancelScope(shield=True):
            try:
                while self._batch or not self._closing:
                    await self._arrived.wait()
                    batch = self._take_batch()
                    if batch:
                        await to_thread.run_sync(self._files.append, batch, limiter=self._limiter)
                        self._on_written(self._cell)
                    with anyio.move_on_after(_LINGER_SECONDS):
                        await self._urgent.wait()
            finally:
                await to_thread.run_sync(self._files.close, limiter=self._limiter)

    def _take_batch(self) -> list[Chunk]:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._room.set()
        self._room = anyio.Event()
        if not self._closing:
            self._arrived, self._urgent = anyio.Event(), anyio.Event()
        return batch


class _LogFiles:
    """The files themselves; every method blocks and none raises `OSError`."""

    def __init__(self, directory: Path, only: str | None) -> None:
        self.problem: OSError | None = None
        self._directory = directory
        self._streams = () if only else (STDOUT_LOG, STDERR_LOG)
        self._both = only or OUTPUT_LOG
        self._open = ExitStack()
        self._descriptors: dict[str, int] = {}

    def open(self) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            for name in (*self._streams, self._both):
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
                descriptor = os.open(self._directory / name, flags, _FILE_MODE)
                self._open.callback(os.close, descriptor)
                self._descriptors[name] = descriptor
        except OSError as error:
            self.problem = error

    def append(self, batch: Sequence[Chunk]) -> None:
        """Append a batch to the files, to `output.log` last: whoever follows it finds the rest."""
        if self.problem is not None:
            return
        stderr = [chunk.data for chunk in batch if chunk.stream is Stream.STDERR]
        stdout = [chunk.data for chunk in batch if chunk.stream is not Stream.STDERR]
        try:
            if stdout and self._streams:
                self._write(STDOUT_LOG, b"".join(stdout))
            if stderr and self._streams:
                self._write(STDERR_LOG, b"".join(stderr))
            self._write(self._both, b"".join([chunk.data for chunk in batch]))
        except OSError as error:
            self.problem = error

    def close(self) -> None:
        try:
            self._open.close()
        except OSError as error:
            self.problem = self.problem or error

    def _write(self, name: str, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptors[name], rest) :]
