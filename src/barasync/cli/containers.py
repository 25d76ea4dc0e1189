"""The container that a command names."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import typer

from barasync.aiopodman import (
    APIError,
    Container,
    ContainerInspect,
    ContainerSummary,
    Endpoint,
    NotFound,
    Podman,
)
from barasync.cli.connect import reach
from barasync.cli.container_states import ENDED, UNSTARTED
from barasync.cli.resolution import called, require_word, resolve
from barasync.engine.identity import RUN
from barasync.errors import ConfigError


@asynccontextmanager
async def found_container(
    word: str, url: str | None, environ: Mapping[str, str]
) -> AsyncIterator[tuple[Podman, Container, ContainerInspect]]:
    """Give the container of the service that a word means, and its state.

    The handle knows whether it has a terminal.

    Raises:
        ConfigError: it means none, or several: see `resolve`.
    """
    require_word(word)
    async with reach(url, environ, notify=partial(typer.echo, err=True)) as reached:
        containers = reached.podman.containers
        found = resolve(word, await listed_containers(reached.podman))
        try:
            state = await containers.handle(found.id).inspect()
        except NotFound:
            raise ConfigError(f"{called(found)} was removed just now") from None
        yield reached.podman, containers.handle(found.id, terminal=state.config.tty), state


async def listed_containers(podman: Podman) -> list[ContainerSummary]:
    """Return all containers of a service, in whatever state."""
    return await podman.containers.list(all=True)


def podman_at(endpoint: Endpoint) -> str:
    """Return how podman is called for a service: with its URL where somebody named it.

    Without one podman may mean another service.
    """
    return f"podman --url {shlex.quote(endpoint.url)}" if endpoint.named else "podman"


def require_running(word: str, state: ContainerInspect, podman: str = "podman") -> None:
    """Refuse what takes a process of the container; `podman` is what `podman_at` returns.

    Raises:
        ConfigError: it does not run, or is paused.
    """
    status = state.state.status
    if status != "running":
        run = state.config.labels.get(RUN)
        raise not_running(word, state.name, status, state.state.exit_code, run=run, podman=podman)


async def why_refused(word: str, container: Container, error: APIError, podman: str) -> Exception:
    """Return why podman refuses what takes a process of a container that ran: it does not any more.

    Where it runs all the same, that is the error that podman gave. `podman` is what `podman_at`
    returns.
    """
    try:
        require_running(word, await container.inspect(), podman)
    except NotFound:
        return ConfigError(f"{word} was removed just now")
    except ConfigError as reason:
        return reason
    return error


def not_running(
    word: str, name: str, status: str, exit_code: int, *, run: str | None, podman: str = "podman"
) -> ConfigError:
    """Return what is said of a container, called `word`, that would have to run.

    `run` is that of barasync which made it, if any: nobody else is to start it then.
    `podman` is what `podman_at` returns.
    """
    if status in ENDED:
        status += f", exit code {exit_code}"
        hint = "`barasync container logs` shows its output, `barasync artifact fetch` its files"
    elif status == "paused":
        hint = f"`{podman} unpause {name}` lets it go on"
    elif status not in UNSTARTED:
        hint = None
    elif run is None:
        hint = f"`{podman} start {name}` starts it"
    else:
        hint = f"the run {run} is about to start it: try again, or `barasync clean` if it is dead"
    return ConfigError(f"{word} does not run: it is {status}", hint=hint)
