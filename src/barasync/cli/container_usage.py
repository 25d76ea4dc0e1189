"""`barasync container stats` and `barasync container top`: what containers consume, and run."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from barasync.cli import options
from barasync.errors import ConfigError


def stats(
    containers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONTAINER…]", help="Those of barasync by default."),
    ] = None,
    *,
    run: options.OfRun = None,
    stream: Annotated[
        bool, typer.Option("--stream/--no-stream", help="Go on, or end after one measurement.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="As JSON: a list, or one a line while it goes on.")
    ] = False,
    url: options.Url = None,
) -> None:
    """Show what running containers consume, each second; ends when those that were named have."""
    if containers and run is not None:
        raise ConfigError("name containers, or a run with --run")
    # The client takes 0.2 s to load; `--help` and mistakes do without.
    from barasync.cli.container_stats import show_stats  # noqa: PLC0415 - as said
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - as said

    finish(
        lambda _interrupts: show_stats(
            containers or (),
            run=run,
            stream=stream,
            as_json=as_json,
            url=url,
            environ=os.environ,
        )
    )


def top(
    container: options.Container,
    *,
    columns: Annotated[
        str,
        typer.Option(
            "--columns",
            help="What to show of each: pid, hpid, user, args, … of podman-top(1).",
            metavar="NAME,…",
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    url: options.Url = None,
) -> None:
    """Show the processes of a running container."""
    from barasync.cli.container_processes import show_processes  # noqa: PLC0415 - as above
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - likewise

    wanted = [each.strip() for each in columns.split(",") if each.strip()]
    finish(
        lambda _interrupts: show_processes(
            container, columns=wanted, as_json=as_json, url=url, environ=os.environ
        )
    )
