"""What `barasync container attach` does."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from barasync.aiopodman import NotFound
from barasync.cli.containers import found_container, require_running
from barasync.cli.interrupts import Interrupts
from barasync.cli.terminals import End, Here, converse
from barasync.errors import EXIT_NOT_PASSED


async def attach_to(
    word: str,
    detach_keys: bytes,
    interrupts: Interrupts,
    *,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Talk to the command of a container until it ends, or the keys leave it to itself.

    Returns its exit code, or 0 when it was left. When cancelled the container goes on.

    Raises:
        ConfigError: the word means no container, several, or one that does not run.
    """
    async with found_container(word, url, environ) as (_podman, container, state):
        require_running(word, state)
        async with container.attach_stdin() as attachment:
            end = await converse(
                attachment,
                Here.of(interrupts, environ),
                resize=container.resize if state.config.tty else None,
                detach_keys=detach_keys,
            )
        if end is End.DETACHED:
            again = f"`barasync container attach {state.name}` gets back in"
            typer.echo(f"detached from {state.name}; {again}", err=True)
        if end.exit_code is not None:
            return end.exit_code
        try:
            await container.wait()
            return (await container.inspect()).state.exit_code
        except NotFound:
            typer.echo(f"barasync: {state.name} was removed, its exit code with it", err=True)
            return EXIT_NOT_PASSED
