"""`barasync image list` and `barasync image remove`: images, above all those of barasync."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from barasync.cli import options
from barasync.cli.list_forms import Names, require_one_form


def list_(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that barasync did not make as well.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with whole IDs.")] = False,
    names: Names = False,
    url: options.Url = None,
) -> None:
    """List the images that barasync made: declared ones and their steps, layers, snapshots, …."""
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.own_images import list_images  # noqa: PLC0415 - likewise

    require_one_form(as_json=as_json, names=names)
    finish(
        lambda _interrupts: list_images(
            everything=everything, as_json=as_json, names=names, url=url, environ=os.environ
        )
    )


def remove(
    images: Annotated[
        list[str],
        typer.Argument(metavar="NAME|ID…", help="Names, or beginnings of IDs.", show_default=False),
    ],
    *,
    everything: Annotated[
        bool, typer.Option("--any", help="Those that barasync did not make as well.")
    ] = False,
    url: options.Url = None,
) -> None:
    """Remove images that barasync made, and no others; those that containers use stay."""
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.own_images import remove_images  # noqa: PLC0415 - likewise

    finish(
        lambda _interrupts: remove_images(
            images, everything=everything, url=url, environ=os.environ
        )
    )
