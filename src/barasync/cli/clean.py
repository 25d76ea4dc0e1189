"""`barasync clean`: remove what dead runs left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from barasync.cli import options
from barasync.config.load import find


def clean(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Also what cannot be judged from here: other hosts, other PID namespaces."
        ),
    ] = False,
    caches: Annotated[
        bool, typer.Option("--caches", help="Also the caches of cells that nothing uses.")
    ] = False,
    kept: Annotated[
        bool, typer.Option("--kept", help="Also what --keep-failed has kept of failed cells.")
    ] = False,
    url: options.Url = None,
) -> None:
    """Remove what runs left whose process is dead; whatever a live run has made stays.

    What builds execute, containers, networks, volumes, secrets, workspace layers and cgroups; and
    in the project here what was begun in the background and was killed.
    Caches, and the images of failed cells, are meant to outlive runs: they go with --caches and
    --kept only.
    """
    file = find(Path.cwd())
    # The client takes 0.2 s to load; `--help` does without.
    from barasync.cli.cleaning import clean_service  # noqa: PLC0415 - as said
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - as said

    finish(
        lambda _interrupts: clean_service(
            url,
            os.environ,
            Path.cwd() if file is None else file.parent,
            dry_run=dry_run,
            everything=everything,
            caches=caches,
            kept=kept,
        )
    )
