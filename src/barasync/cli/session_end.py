"""What the end of a conversation with a container makes the exit code of a command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import typer

from barasync.aiopodman import NotFound, TransportError
from barasync.cli.terminals import End, Here, Resize, Talk, converse
from barasync.errors import EXIT_NOT_PASSED

_USUAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What was talked to.

    `wait` returns its exit code once it has ended. `detached` is said where it was left, `goes_on`
    where podman broke off its output before its end, and what `forgotten` returns where podman does
    not know its exit code any more.
    """

    wait: Callable[[], Awaitable[int]]
    detached: str
    goes_on: str
    forgotten: Callable[[], Awaitable[str]]


async def talk_to(talk: Talk, here: Here, *, resize: Resize | None, detach_keys: bytes) -> End:
    """Converse as `converse` does; a connection that breaks is no more than output that ends."""
    try:
        return await converse(talk, here, resize=resize, detach_keys=detach_keys)
    except TransportError:
        # As where podman is killed before it has taken all that was sent.
        return End.ENDED


async def exit_code_of(end: End, spoken: Spoken) -> int:
    """Return the exit code of a command whose conversation has ended, saying what has to be said.

    Output that has ended is no proof of anything else's end: it ends like that too where podman's
    service goes away. So the end is waited for, for as long as that takes.
    """
    if end is End.DETACHED:
        typer.echo(spoken.detached, err=True)
    if end.exit_code is not None:
        return end.exit_code
    try:
        with anyio.move_on_after(_USUAL_SECONDS):
            return await spoken.wait()
        typer.echo(f"barasync: podman broke off the output; {spoken.goes_on}", err=True)
        return await spoken.wait()
    except NotFound:
        typer.echo(f"barasync: {await spoken.forgotten()}", err=True)
        return EXIT_NOT_PASSED
