"""All that a container prints, also where attach alone would miss the beginning.

Podman answers attach once it has connected to the container's monitor, conmon, which need not have
accepted the connection yet. A monitor that the kernel holds up at that moment deals with what the
container prints first, or with its end: the beginning of the output, or all of it, goes to podman's
log only. So the log has the last word. Where conmon never accepted, the kernel resets the
connection, which podman reports in the stream, and the log is replayed. Where something came, its
beginning is compared with the log's. Where nothing came and nothing was reset, nothing was printed.

Whether everything came is told by the log once the container has ended, by the length of its file
where that can be seen. A frame of attach is what conmon has read at once, and it logs each line of
that, and the rest, with 45 bytes in front: what came tells how long the log is, to the byte
(measured on 4.3.1 and 5.4.2, for lines, binary data and both streams at once).

Podman may also die under a container that goes on. The log has the same bytes as attach gives
(measured on 4.3.1 and 5.4.2: without a last newline, binary, 3 MB in a line), so that what is
missing begins in it where attach broke off.

Source: `write_k8s_log` of conmon, in `src/ctr_logging.c`; `unix_release_sock` of the kernel, which
resets whoever still waits to be accepted; `HTTPAttach` of podman, in `libpod/oci_conmon_common.go`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing

import anyio

from barasync.aiopodman.errors import LogIncomplete, OutputLost, PodmanError
from barasync.aiopodman.spec import LOG_BYTES
from barasync.aiopodman.wire.frames import Chunk, Stream
from barasync.aiopodman.wire.notices import is_reset

BEGINNING_BYTES = 64 * 1024
"""How much of a stream is compared; conmon reads, and misses, 8 KiB of it at a time."""

_PROBE_BYTES = 4096
# A time with its offset, the stream, and whether the line is whole.
_LABEL_BYTES = 45


class Beginning:
    """The first `limit` bytes of each stream, and no more, however much is added."""

    def __init__(self, limit: int = BEGINNING_BYTES) -> None:
        self.limit = limit
        self._streams: dict[Stream, bytearray] = {}

    @property
    def bytes(self) -> int:
        """How much is kept, of all streams together."""
        return sum(len(kept) for kept in self._streams.values())

    @property
    def streams(self) -> Mapping[Stream, bytearray]:
        """What is kept, by stream; a stream without output is left out."""
        return self._streams

    def add(self, chunk: Chunk) -> None:
        """Keep what still fits of a chunk."""
        kept = self._streams.setdefault(chunk.stream, bytearray())
        kept += chunk.data[: self.limit - len(kept)]


class Received:
    """How much of a container's output has come, and its beginning."""

    def __init__(self) -> None:
        self.beginning = Beginning()
        self._totals: dict[Stream, int] = {}
        self._log_bytes = 0

    def add(self, chunk: Chunk) -> None:
        """Count a chunk that came."""
        self._totals[chunk.stream] = self.total(chunk.stream) + len(chunk.data)
        if self._log_bytes <= LOG_BYTES:
            lines = chunk.data.count(b"\n") + chunk.unfinished
            self._log_bytes += len(chunk.data) + lines * _LABEL_BYTES + chunk.unfinished
        self.beginning.add(chunk)

    def total(self, stream: Stream) -> int:
        """Return how many bytes of a stream have come."""
        return self._totals.get(stream, 0)

    @property
    def log_bytes(self) -> int | None:
        """How long podman's log of it is; `None` where that has been begun anew."""
        return self._log_bytes if self._log_bytes <= LOG_BYTES else None

    @property
    def is_long(self) -> bool:
        """Whether it is longer than the beginning that is kept."""
        return self.beginning.bytes >= BEGINNING_BYTES

    @property
    def totals(self) -> Mapping[Stream, int]:
        """How many bytes have come, by stream; a stream without output is left out."""
        return self._totals


async def is_as_long_as_its_log(received: Received, path: str) -> bool | None:
    """Tell whether a container that has ended printed as much as was received.

    `path` is that of podman's log. Returns `None` where the file cannot be seen here, or has been
    begun anew.
    """
    expected = received.log_bytes
    if not path or expected is None:
        return None
    try:
        stat = await anyio.Path(path).stat()
    except OSError:
        return None
    return stat.st_size == expected


async def rest(received: Received, log: AsyncIterator[Chunk]) -> AsyncGenerator[Chunk]:
    """Yield what `log`, podman's from its beginning, has beyond what was received; add it to that.

    Raises:
        OutputLost: the log has more at the beginning than was received.
        LogIncomplete: the log does not begin as the output did, because it was cut to its limit, or
            it ends before what was received does.
    """
    recorded = Beginning(2 * BEGINNING_BYTES)
    left = dict(received.totals)
    expected = {stream: bytes(kept) for stream, kept in received.beginning.streams.items()}
    async for chunk in log:
        overlap = min(left.get(chunk.stream, 0), len(chunk.data))
        if overlap:
            left[chunk.stream] -= overlap
            recorded.add(Chunk(chunk.stream, chunk.data[:overlap]))
            if not expected[chunk.stream].startswith(
                recorded.streams[chunk.stream][:BEGINNING_BYTES]
            ):
                recorded.add(Chunk(chunk.stream, chunk.data[overlap:]))
                raise await _difference(received, recorded, log)
        if overlap < len(chunk.data):
            new = Chunk(chunk.stream, chunk.data[overlap:], chunk.unfinished)
            received.add(new)
            yield new
    if any(left.values()):
        raise LogIncomplete("podman's log of the container ends before its output was cut off")


async def _difference(
    received: Received, recorded: Beginning, log: AsyncIterator[Chunk]
) -> OutputLost | LogIncomplete:
    """Say why `log`, of which `recorded` has been read, does not begin as what was received."""
    ended = not await _fill(recorded, log) and not received.is_long
    lost = None if received.log_bytes is None else _lost(received.beginning, recorded, ended=ended)
    return lost or LogIncomplete("podman's log of the container no longer holds the beginning")


def missing_bytes(recorded: bytes, received: bytes, *, ended: bool) -> int:
    """Return how many bytes at the beginning of `recorded` are missing from `received`.

    Both are beginnings of one stream, as podman's log has it and as attach gave it. `ended` says
    that both are all there is of it, which makes the answer exact. Otherwise either may be ahead,
    output that repeats itself hides its loss, and output that the log does not have at all counts
    as complete.
    """
    if ended and recorded.endswith(received):
        return len(recorded) - len(received)
    if recorded.startswith(received) or received.startswith(recorded):
        return 0
    return max(0, recorded.find(received[:_PROBE_BYTES]))


async def complete(
    attached: AsyncIterator[Chunk],
    open_log: Callable[[], AbstractAsyncContextManager[AsyncIterator[Chunk]]],
    received: Received,
    *,
    check_end: bool = True,
) -> AsyncGenerator[Chunk]:
    """Yield what attach gives, or what podman's log has where attach could give nothing.

    The log is compared once 64 KiB have come, long before it is rotated, and where less has come at
    the end with `check_end`. What is yielded is added to `received`, before whoever iterates has
    taken it. Whatever is wrong with the log, attach is read to its end: a container whose output
    nobody reads stands still.

    Raises:
        OutputLost: at the end, when the beginning is missing from what was yielded.
        PodmanError: at the end, when the log cannot be read.
    """
    beginning = received.beginning
    notice: Chunk | None = None
    compared = False
    failure: PodmanError | None = None
    async for chunk in attached:
        if not beginning.bytes and notice is None and is_reset(chunk.data):
            # Podman writes it as if the container had, when the monitor never accepted.
            notice = chunk
            continue
        if notice is not None:
            # More follows it, so the container printed it.
            received.add(notice)
            yield notice
            notice = None
        received.add(chunk)
        yield chunk
        if received.is_long and not compared:
            compared = True
            try:
                await _compare(beginning, open_log, ended=False)
            except PodmanError as error:
                failure = error
    if failure is not None:
        raise failure
    if notice is not None:
        async with open_log() as log, aclosing(rest(received, log)) as chunks:
            async for chunk in chunks:
                yield chunk
    elif beginning.bytes and not compared and check_end:
        await _compare(beginning, open_log, ended=True)


async def _compare(
    received: Beginning,
    open_log: Callable[[], AbstractAsyncContextManager[AsyncIterator[Chunk]]],
    *,
    ended: bool,
) -> None:
    recorded = Beginning(2 * BEGINNING_BYTES)
    async with open_log() as log:
        await _fill(recorded, log)
    lost = _lost(received, recorded, ended=ended)
    if lost is not None:
        raise lost


async def _fill(recorded: Beginning, log: AsyncIterator[Chunk]) -> bool:
    """Add from a log what still fits; tell whether that was too little for all of it."""
    async for chunk in log:
        recorded.add(chunk)
        if recorded.bytes >= recorded.limit:
            return True
    return False


def _lost(received: Beginning, recorded: Beginning, *, ended: bool) -> OutputLost | None:
    for stream, beginning in recorded.streams.items():
        came = bytes(received.streams.get(stream, b""))
        missing = missing_bytes(bytes(beginning), came, ended=ended)
        if missing:
            return OutputLost(
                f"podman did not pass on the first {missing} bytes of {stream.name.lower()}; "
                "its own log has them (`podman logs`)"
            )
    return None
