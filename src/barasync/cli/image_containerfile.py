"""`barasync image containerfile`: a declared image as others would build it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer

from barasync.cli.project import find_project
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError
from barasync.matrix import platforms


def containerfile(
    name: Annotated[str, typer.Argument(help="An image of [images] in barasync.toml.")],
    *,
    arch: Annotated[
        str | None, typer.Option("--arch", metavar="ARCH", help="This machine's by default.")
    ] = None,
    heredocs: Annotated[
        bool, typer.Option("--heredocs", help="For podman 4.8 and newer, easier to read.")
    ] = False,
) -> None:
    """Print the Containerfile that makes a declared image."""
    project = find_project(Path.cwd())
    declared = {} if project.document is None else project.document.images
    if name not in declared:
        raise ConfigError(
            f"{project.origin.file} declares no image '{name}'{did_you_mean(name, declared)}",
            hint="write a table [images.NAME]",
        )
    wanted = (
        platforms.native(platform.machine()) if arch is None else platforms.parse(arch, "--arch")
    )
    from barasync.images.equivalent import containerfile_of  # noqa: PLC0415 - keeps `--help` quick

    typer.echo(containerfile_of(name, declared, wanted, heredocs=heredocs), nl=False)
