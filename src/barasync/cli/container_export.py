"""`barasync container export`: all files of a container."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from barasync.cli import options


def export(
    container: options.Container,
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Where it goes; - for stdout.")
    ] = "-",
    *,
    url: options.Url = None,
) -> None:
    """Write all files of a container to a tar archive, without what is mounted in it.

    FILE appears whole or not at all, in place of what was there.
    """
    # The client takes 0.2 s to load; `--help` does without.
    from barasync.cli.downloads import export_file, export_tar  # noqa: PLC0415 - as said
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - as said
    from barasync.cli.places import STDOUT, file_for, require_no_terminal  # noqa: PLC0415 - likewise

    if file == STDOUT:
        require_no_terminal("a tar archive")
        finish(lambda _interrupts: export_tar(container, url=url, environ=os.environ))
    place = file_for(file)
    finish(lambda _interrupts: export_file(container, place, url=url, environ=os.environ))
