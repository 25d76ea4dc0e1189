"""What `barasync container logs` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import anyio
import typer

from barasync.aiopodman import Chunk, Container, LogIncomplete, NotFound, Stream, whole_log
from barasync.cli.containers import found_container
from barasync.cli.standard_streams import STDERR, STDOUT, CannotWrite
from barasync.cli.terminal import channels
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK, EXIT_UNREAD
from barasync.report.channel import Channel
from barasync.report.writer import Writer

_GOING = frozenset({"running", "stopping", "stopped", "removing"})
_SETTLED_SECONDS = 10.0


async def show_log(
    word: str,
    *,
    follow: bool,
    since: datetime | None,
    tail: int | None,
    timestamps: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Write what podman has kept of a container's output to stdout and stderr, as it came.

    Podman waits while nobody reads; the container does not. The exit code is 1 where the container
    was removed meanwhile, or its log begun anew, so that something may be missing. When cancelled,
    a piece that waits to be written may still be, for as long as the process lasts.

    Raises:
        ConfigError: the word means no container, or several.
        CannotWrite: there is no room for it, or no such stream.
    """
    async with found_container(word, url, environ) as (_podman, container, state):
        try:
            async with whole_log(
                container, follow=follow, tail=tail, since=since, timestamps=timestamps
            ) as chunks:
                with _copying(environ) as copy:
                    async for chunk in chunks:
                        if not await copy.write(chunk):
                            return EXIT_UNREAD
            if follow:
                await _require_there(container)
        except NotFound:
            return _incomplete(f"{state.name} was removed; what it printed last may be missing")
        except LogIncomplete:
            return _incomplete(f"podman has begun the log of {state.name} anew; output is missing")
    return EXIT_OK


class _Copy:
    """Writes chunks to the streams of ours that they belong to; made by `_copying`."""

    def __init__(self, out: tuple[Channel, Writer], error: tuple[Channel, Writer]) -> None:
        self._out = out
        self._error = error

    async def write(self, chunk: Chunk) -> bool:
        """Write a chunk; tell whether somebody reads it.

        Raises:
            CannotWrite: it cannot be written.
        """
        is_error = chunk.stream is Stream.STDERR
        channel, writer = self._error if is_error else self._out
        await writer.write(chunk.data)
        if channel.problem is not None:
            raise CannotWrite.because(STDERR if is_error else STDOUT, channel.problem)
        return not channel.closed


@contextmanager
def _copying(environ: Mapping[str, str]) -> Iterator[_Copy]:
    out, error = channels(environ)
    with Writer(out) as to_out, Writer(error) as to_error:
        yield _Copy((out, to_out), (error, to_error))


async def _require_there(container: Container) -> None:
    """Ask whether a container is there whose log has ended: that of one that is removed ends too.

    Raises:
        NotFound: it is not, or about to go.
    """
    state = await container.inspect()
    if state.state.status not in _GOING:
        return
    # Podman is at it: either the cleanup after its end, or its removal.
    with anyio.move_on_after(_SETTLED_SECONDS):
        await container.wait(("exited",))
    await container.inspect()


def _incomplete(reason: str) -> int:
    typer.echo(f"barasync: {reason}", err=True)
    return EXIT_NOT_PASSED
