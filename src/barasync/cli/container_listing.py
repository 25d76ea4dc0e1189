"""`barasync container list`: the containers of runs, or of the whole service."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from barasync.cli import options
from barasync.cli.container_states import State
from barasync.cli.list_forms import Names, require_one_form


def list_(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that barasync did not make as well.")
    ] = False,
    run: options.OfRun = None,
    cell: options.OfCell = None,
    state: Annotated[
        list[State] | None,
        typer.Option("--state", help="Only those in this state. Repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with whole IDs.")] = False,
    names: Names = False,
    url: options.Url = None,
) -> None:
    """List the containers that barasync made, running or not, with what they consume."""
    from barasync.cli.container_table import list_containers  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - likewise

    require_one_form(as_json=as_json, names=names)
    finish(
        lambda _interrupts: list_containers(
            everything=everything,
            run=run,
            cell=cell,
            states=state or (),
            as_json=as_json,
            names=names,
            url=url,
            environ=os.environ,
        )
    )
