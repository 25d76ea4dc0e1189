"""`barasync container stop` and `barasync container remove`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from barasync.cli import options


def stop(
    containers: options.Containers,
    *,
    grace: Annotated[
        int,
        typer.Option(
            "--grace",
            help="Seconds between its stop signal and SIGKILL.",
            metavar="SECONDS",
            min=0,
            max=1_000_000,
        ),
    ] = 10,
    url: options.Url = None,
) -> None:
    """Stop containers, all at once; they stay, with their files and their output."""
    from barasync.cli.container_endings import stop_containers  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - likewise

    finish(
        lambda _interrupts: stop_containers(containers, grace=grace, url=url, environ=os.environ)
    )


def remove(
    containers: options.Containers,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Kill those that run, instead of keeping them.")
    ] = False,
    url: options.Url = None,
) -> None:
    """Remove containers, with their anonymous volumes; those that run stay, unless forced."""
    from barasync.cli.container_endings import remove_containers  # noqa: PLC0415 - as above
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - likewise

    finish(
        lambda _interrupts: remove_containers(containers, force=force, url=url, environ=os.environ)
    )
