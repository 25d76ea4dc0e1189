"""`barasync image list` and `barasync image remove`: the images that barasync made."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from barasync.cli import options


def list_(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with whole IDs.")] = False,
    url: options.Url = None,
) -> None:
    """List the images that barasync made: declared ones and their steps, layers, snapshots, …."""
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.own_images import list_images  # noqa: PLC0415 - likewise

    finish(lambda _interrupts: list_images(as_json=as_json, url=url, environ=os.environ))


def remove(
    images: Annotated[
        list[str],
        typer.Argument(metavar="NAME|ID…", help="Names, or beginnings of IDs.", show_default=False),
    ],
    *,
    url: options.Url = None,
) -> None:
    """Remove images that barasync made, and no others; those that containers use stay."""
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.own_images import remove_images  # noqa: PLC0415 - likewise

    finish(lambda _interrupts: remove_images(images, url=url, environ=os.environ))
