"""The container that a command names."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import typer

from barasync.aiopodman import Container, ContainerInspect, NotFound, Podman
from barasync.cli.connect import connect
from barasync.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@asynccontextmanager
async def found_container(
    name: str, url: str | None, environ: Mapping[str, str]
) -> AsyncIterator[tuple[Podman, Container, ContainerInspect]]:
    """Give a container of the service, by its name or the beginning of its ID, and its state.

    Raises:
        ConfigError: there is none, or it cannot be meant.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigError(f"CONTAINER: {name!r} is not the name or ID of a container")
    async with connect(url, environ, notify=partial(typer.echo, err=True)) as connection:
        containers = connection.podman.containers
        try:
            state = await containers.handle(name).inspect()
        except NotFound as error:
            raise ConfigError(
                f"there is no container {name} at {connection.endpoint.url}",
                hint="`podman ps --all` lists them; `--url` chooses another service",
            ) from error
        yield connection.podman, containers.handle(state.id), state
