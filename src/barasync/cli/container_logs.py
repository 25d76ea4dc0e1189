"""`barasync container logs`: what a container has printed, and prints."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from barasync.cli import options
from barasync.cli.since import parse_since


def logs(
    container: options.Container,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the container ends.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="Only what came in the last 90s, 1h30m, …, or since a time.",
            metavar="TIME",
        ),
    ] = None,
    tail: Annotated[
        int | None,
        typer.Option("--tail", "-n", help="Only the last lines.", metavar="N", min=0, max=100_000),
    ] = None,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Begin each line with when it was printed.")
    ] = False,
    url: options.Url = None,
) -> None:
    """Print what a container printed: its stdout to ours, its stderr to ours, as it came."""
    begin = None if since is None else parse_since(since, datetime.now(UTC))
    # The client takes 0.2 s to load; `--help` and mistakes do without.
    from barasync.cli.container_log import show_log  # noqa: PLC0415 - as said
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - as said

    finish(
        lambda _interrupts: show_log(
            container,
            follow=follow,
            since=begin,
            tail=tail,
            timestamps=timestamps,
            url=url,
            environ=os.environ,
        )
    )
