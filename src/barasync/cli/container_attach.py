"""What `barasync container attach` does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import typer

from barasync.aiopodman import APIError, Chunk, Container
from barasync.cli.container_states import UNSTARTED
from barasync.cli.containers import found_container, podman_at, require_running, why_refused
from barasync.cli.interrupts import Interrupts
from barasync.cli.session_end import Spoken, exit_code_of, talk_to
from barasync.cli.terminals import Here, Talk
from barasync.errors import EXIT_NOT_PASSED


async def attach_to(
    word: str,
    detach_keys: bytes,
    interrupts: Interrupts,
    *,
    stdin: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Talk to the command of a container until it ends, or the keys leave it to itself.

    Without `stdin` nothing is read here, and nothing sent. Returns its exit code, or 0 when it was
    left. When cancelled the container goes on.

    Raises:
        ConfigError: the word means no container, several, or one that does not run.
    """
    async with found_container(word, url, environ) as (podman, container, state):
        called = podman_at(podman.endpoint)
        require_running(word, state, called)
        name = state.name
        try:
            async with _attached(container, stdin=stdin) as talk:
                # Podman makes a container anew that has ended since it was looked at, silently.
                if (await container.inspect()).state.status in UNSTARTED:
                    return _made_anew(name)
                end = await talk_to(
                    talk,
                    Here.of(interrupts, environ, stdin=stdin),
                    resize=container.resize if state.config.tty and stdin else None,
                    detach_keys=detach_keys,
                )
        except APIError as error:
            raise await why_refused(word, container, error, called) from None
        again = f"`barasync container attach {name}` gets back in"
        spoken = Spoken(
            wait=lambda: _exit_code(container),
            detached=f"detached from {name}; {again}",
            goes_on=f"{name} goes on, and its end is waited for; {again}",
            forgotten=lambda: _why_forgotten(name),
        )
        return await exit_code_of(end, spoken)


class _Watched:
    """The output of a container, for a conversation in which nothing is said to it."""

    def __init__(self, output: AsyncIterator[Chunk]) -> None:
        self.output = output

    async def send(self, data: bytes) -> None:
        """Send nothing: nothing is read."""

    async def close_stdin(self) -> None:
        """Leave the container's stdin as it is: it is somebody else's."""


@asynccontextmanager
async def _attached(container: Container, *, stdin: bool) -> AsyncIterator[Talk]:
    """Attach to the container's command."""
    if stdin:
        async with container.attach_stdin() as attachment:
            yield attachment
    else:
        async with container.attach() as output:
            yield _Watched(output)


def _made_anew(name: str) -> int:
    typer.echo(
        f"barasync: {name} ended in this moment, and its exit code is lost: podman has made it anew"
        f" to attach to it\n  hint: `barasync container remove --force {name}` removes it;"
        f" `barasync container logs {name}` shows what it printed",
        err=True,
    )
    return EXIT_NOT_PASSED


async def _exit_code(container: Container) -> int:
    """Return the exit code of a container once it has ended."""
    await container.wait()
    return (await container.inspect()).state.exit_code


async def _why_forgotten(name: str) -> str:
    return f"{name} was removed, its exit code with it"
