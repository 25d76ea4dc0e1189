"""What `barasync container logs` does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import anyio
import typer
from anyio import to_thread

from barasync.aiopodman import Container, LogIncomplete, NotFound, Stream, whole_log
from barasync.cli.containers import found_container
from barasync.cli.raw_output import write_raw
from barasync.cli.standard_streams import STDERR, STDOUT, CannotWrite
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK

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
    was removed meanwhile, or its log begun anew, so that something may be missing.

    Raises:
        ConfigError: the word means no container, or several.
        CannotWrite: there is no room for it, or no such stream.
    """
    async with found_container(word, url, environ) as (_podman, container, state):
        try:
            async with whole_log(
                container, follow=follow, tail=tail, since=since, timestamps=timestamps
            ) as chunks:
                async for chunk in chunks:
                    descriptor = STDERR if chunk.stream is Stream.STDERR else STDOUT
                    await to_thread.run_sync(_write, descriptor, chunk.data)
            if follow:
                await _require_there(container)
        except NotFound:
            return _incomplete(f"{state.name} was removed; what it printed last may be missing")
        except LogIncomplete:
            return _incomplete(f"podman has begun the log of {state.name} anew; output is missing")
    return EXIT_OK


def _write(descriptor: int, data: bytes) -> None:
    try:
        write_raw(descriptor, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite.because(descriptor, error) from error


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
