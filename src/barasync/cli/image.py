"""`barasync image`: images that the project declares."""

from __future__ import annotations

import os
import platform
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import UnsetType

from barasync.cli import image_prune, options
from barasync.cli.project import find_project
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError
from barasync.matrix import platforms
from barasync.matrix.platforms import short_name

if TYPE_CHECKING:
    from barasync.cli.interrupts import Interrupts
    from barasync.matrix.platforms import Platform

app = typer.Typer(help="Images that the project declares.", no_args_is_help=True)
app.command("prune")(image_prune.prune)


@app.callback()
def images() -> None:
    """Images that the project declares."""


@app.command()
def bootstrap(
    name: Annotated[str, typer.Argument(help="An image of [images] in barasync.toml.")],
    *,
    arch: Annotated[
        list[str] | None, typer.Option("--arch", metavar="A,B", help="This machine's by default.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Take new packages even if it is there.")
    ] = False,
    url: options.Url = None,
) -> None:
    """Make an image from a distribution's packages, without a registry."""
    project = find_project(Path.cwd())
    declared = {} if project.document is None else project.document.images
    if name not in declared:
        raise ConfigError(
            f"{project.origin.file} declares no image '{name}'{did_you_mean(name, declared)}",
            hint="write a table [images.NAME] with `bootstrap = { suite = …, packages = […] }`",
        )
    table = declared[name]
    if isinstance(table.bootstrap, UnsetType):
        raise ConfigError(
            f"{project.origin.key('images', name)}: this image is not made by `bootstrap`"
        )
    spec = table.bootstrap
    names = [each.strip() for value in arch or () for each in value.split(",")]
    wanted = [platforms.parse(each, "--arch") for each in names] or [
        platforms.native(platform.machine())
    ]
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.making import make_images  # noqa: PLC0415 - likewise

    async def command(_interrupts: Interrupts) -> int:
        ids = await make_images(
            name,
            spec,
            tuple(dict.fromkeys(wanted)),
            url=url,
            environ=os.environ,
            refresh=refresh,
            notify=partial(typer.echo, err=True),
        )
        for made, image in ids.items():
            typer.echo(f"{_label(made)}{image}")
        return 0

    finish(command)


def _label(made: Platform) -> str:
    return f"{short_name(made):<9}"
