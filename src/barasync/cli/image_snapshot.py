"""`barasync image snapshot`: a container as an image."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from barasync.cli import options


def snapshot(
    container: options.Container,
    tag: Annotated[
        str, typer.Argument(metavar="TAG", help="The image's name, NAME:TAG.", show_default=False)
    ],
    *,
    pause: Annotated[
        bool, typer.Option("--pause", help="Let the container stand still meanwhile.")
    ] = False,
    url: options.Url = None,
) -> None:
    """Make an image of a container as it is, running or not, and print its ID.

    What is mounted in the container is not in it. A file that is written meanwhile may come half,
    unless --pause is given.
    """
    # The client takes 0.2 s to load; `--help` does without.
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - as said
    from barasync.cli.snapshots import snapshot_container  # noqa: PLC0415 - as said

    finish(
        lambda _interrupts: snapshot_container(
            container, tag, pause=pause, url=url, environ=os.environ
        )
    )
