"""The streams of a container: what its command reads and prints, and what podman has kept of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import datetime

from barasync.aiopodman import quirks
from barasync.aiopodman.attachment import Attachment, open_attachment
from barasync.aiopodman.container_files import ContainerFiles
from barasync.aiopodman.events import rfc3339
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.output import Received, rest
from barasync.aiopodman.streams import DecodedStream, Decoder
from barasync.aiopodman.transport import Query
from barasync.aiopodman.wire.frames import Chunk, FrameDecoder, RawDecoder, StampDecoder


class ContainerStreams(ContainerFiles):
    """What a handle on a container can do with what its command reads and prints.

    A container with a terminal has one stream, without frames.
    """

    def __init__(self, libpod: Libpod, container_id: str, *, terminal: bool = False) -> None:
        super().__init__(libpod, container_id)
        self._terminal = terminal

    @asynccontextmanager
    async def attach(
        self, *, stdout: bool = True, stderr: bool = True
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """Yield the container's output from now on, until it ends.

        What is printed before the block is entered is lost, and sometimes a moment more
        (`ATTACH_MISSES_OUTPUT`): `start_attached` misses nothing. A container that was only created
        is initialised by this. Never attach to one
        that has ended: podman makes it anew, and its exit code is lost (`ATTACH_REINITIALISES`);
        read its output with `logs`. Read all the time: a container whose output nobody reads
        stands still, and podman cannot even remove it (`SLOW_READER_FREEZES`). Leaving the block
        early leaves the container running.

        The end of the output is no verdict: `inspect` gives the exit code within milliseconds.

        Raises:
            OCIRuntimeError: the process cannot be made, `CommandNotFound` for want of the command.
            ProtocolError: while iterating, when the stream is malformed or breaks inside a frame.

        Source: `POST /libpod/containers/{id}/attach`, plain, without an upgrade.
        """
        query = {"stdin": False, "stdout": stdout, "stderr": stderr, "stream": True}
        decoder: Decoder[Chunk] = RawDecoder() if self._terminal else FrameDecoder()
        async with self._libpod.stream("POST", self._path("attach"), query) as data:
            yield DecodedStream(data, decoder)

    def attach_stdin(
        self, *, stdout: bool = True, stderr: bool = True, detach_keys: str | None = None
    ) -> AbstractAsyncContextManager[Attachment]:
        """Open both directions of a connection to the container's command.

        The container has to be made with `stdin`. All that `attach` says holds here as well: enter
        the block before `start`, never attach to one that has ended, read all the time. The block
        is entered when podman has given the connection over; leaving it early leaves the container
        running, but without a terminal its command reads the end of its stdin (measured on 4.3.1
        and 5.4.2). `detach_keys` are podman's own, such as `ctrl-p,ctrl-q`, which
        end the output; by default there are none, and every byte reaches the command.

        Raises:
            OCIRuntimeError: the process cannot be made, `CommandNotFound` for want of the command.

        Source: `POST /libpod/containers/{id}/attach`, with an upgrade.
        """
        query: Query = {
            "stdin": True,
            "stdout": stdout,
            "stderr": stderr,
            "stream": True,
            # Without the parameter podman looks for its default keys, also in what is piped.
            "detachKeys": detach_keys or "",
        }
        return open_attachment(self._libpod, self._path("attach"), query, terminal=self._terminal)

    async def resize(self, columns: int, rows: int) -> None:
        """Give the container's terminal another size, in characters.

        Raises:
            Conflict: the container has no process.

        Source: `POST /libpod/containers/{id}/resize`.
        """
        await self._libpod.post(self._path("resize"), {"w": columns, "h": rows})

    @asynccontextmanager
    async def remaining_output(
        self, received: Received, *, follow: bool
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """Yield what podman's log has beyond `received`, and count it there.

        With `follow` the output is yielded as it is printed; podman 4 may miss the end of the
        container then, so that the caller has to know it from `wait`.

        Raises:
            OutputLost, LogIncomplete: while iterating, as `output.rest`.
        """
        async with (
            self.logs(follow=follow) as log,
            aclosing(rest(received, log)) as chunks,
        ):
            yield chunks

    @asynccontextmanager
    async def logs(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        follow: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
        timestamps: bool = False,
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        """Yield the output that podman has kept: all, the last `tail` lines, or that after `since`.

        With `timestamps` each line begins with when it was printed, and a space: whole seconds
        before podman 5.8. A `since` without an offset is local time. The first of the last lines
        may be cut (`quirks.TAIL_CUTS_A_LINE`), which `whole_log` does not do.

        With `follow` it goes on until the container ends; a silent container of an old podman lets
        the block be entered only with its first line (`quirks.LOG_HEADERS_LATE`).

        Source: `GET /libpod/containers/{id}/logs`.
        """
        query = {
            "stdout": stdout,
            "stderr": stderr,
            "follow": follow,
            "tail": tail,
            "since": None if since is None else rfc3339(since),
            "timestamps": timestamps or None,
        }
        decoder: Decoder[Chunk] = StampDecoder() if timestamps else FrameDecoder()
        late = follow and self._libpod.has(quirks.LOG_HEADERS_LATE)
        async with self._libpod.stream("GET", self._path("logs"), query, unhurried=late) as data:
            yield DecodedStream(data, decoder)
