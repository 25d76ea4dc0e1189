"""`barasync container list`: the containers of runs, or of the whole service."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from barasync.cli import options


def list_(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that barasync did not make as well.")
    ] = False,
    run: options.OfRun = None,
    cell: options.OfCell = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with whole IDs.")] = False,
    url: options.Url = None,
) -> None:
    """List the containers that barasync made, running or not, with what they consume."""
    from barasync.cli.container_table import list_containers  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - likewise

    finish(
        lambda _interrupts: list_containers(
            everything=everything,
            run=run,
            cell=cell,
            as_json=as_json,
            url=url,
            environ=os.environ,
        )
    )
