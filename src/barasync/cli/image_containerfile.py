"""`barasync image containerfile`: a declared image as others would build it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from barasync.cli import options
from barasync.cli.arch_option import Arch, platforms_of
from barasync.cli.project import find_project


def containerfile(
    name: Annotated[str, typer.Argument(help="An image of [images] in barasync.toml.")],
    *,
    arch: Arch = None,
    define: options.Define = None,
    heredocs: Annotated[
        bool, typer.Option("--heredocs", help="For podman 4.8 and newer, easier to read.")
    ] = False,
) -> None:
    """Print the Containerfile that makes a declared image; one for each architecture."""
    project = find_project(Path.cwd(), define)
    project.image(name)
    wanted = platforms_of(arch)
    from barasync.images.equivalent import containerfile_of  # noqa: PLC0415 - keeps `--help` quick

    files = [containerfile_of(name, project.images, each, heredocs=heredocs) for each in wanted]
    typer.echo("\n".join(files), nl=False)
