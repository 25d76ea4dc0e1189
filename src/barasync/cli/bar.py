"""`barasync bar`: what a project that uses bar takes from barasync."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The modules of Bar.d, for projects that use bar.", no_args_is_help=True)


@app.callback()
def bar() -> None:
    """The modules of Bar.d, for projects that use bar."""


@app.command()
def install(
    project: Annotated[
        Path,
        typer.Argument(metavar="[DIR]", help="The project; here by default.", show_default=False),
    ] = Path(),
    *,
    update_only: Annotated[
        bool, typer.Option("--update-only", help="Leave out modules that are not there yet.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what would change; write nothing.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace what was changed there, and keep it as .NAME.orig."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
) -> None:
    """Copy the modules podman and podman_rules into a project's Bar.d, or update them there.

    A module that was changed there, or is not of barasync, stays; then nothing is written, and the
    exit code is 1.
    """
    from barasync.cli.bar_install import Asked, install_modules  # noqa: PLC0415 - as elsewhere

    asked = Asked(update_only=update_only, diff=diff, force=force, dry_run=dry_run)
    raise typer.Exit(install_modules(project, asked))
