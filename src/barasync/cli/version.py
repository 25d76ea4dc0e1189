"""`barasync version`: which barasync this is, and which podman answers."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from barasync import __version__
from barasync.cli import options

if TYPE_CHECKING:
    from barasync.cli.interrupts import Interrupts


def version(
    *,
    service: Annotated[
        bool, typer.Option("--service", help="That of podman's service, in place of ours.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="As JSON; with --service both, its API and where it is."),
    ] = False,
    url: options.Url = None,
) -> None:
    """Print the version of barasync, or of the podman service in use, and nothing else."""
    if not service:
        typer.echo(json.dumps({"barasync": __version__}, indent=2) if as_json else __version__)
        return
    from barasync.cli.connect import reach  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - likewise

    async def command(_interrupts: Interrupts) -> int:
        async with reach(url, os.environ, notify=_notify) as reached:
            podman = reached.podman
            data = {
                "barasync": __version__,
                "podman": str(podman.version),
                "api": podman.version.api,
                "endpoint": podman.endpoint.url,
            }
        typer.echo(json.dumps(data, indent=2) if as_json else data["podman"])
        return 0

    finish(command)


def _notify(line: str) -> None:
    typer.echo(line, err=True)
