"""`barasync image`: images that the project declares."""

from __future__ import annotations

import os
import platform
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import UnsetType

from barasync.cli import image_listing, image_prune, image_snapshot, options
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

Arch = Annotated[
    list[str] | None, typer.Option("--arch", metavar="A,B", help="This machine's by default.")
]


@app.callback()
def images() -> None:
    """Images that the project declares."""


@app.command()
def bootstrap(
    name: Annotated[str, typer.Argument(help="An image of [images] in barasync.toml.")],
    *,
    arch: Arch = None,
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
    wanted = _platforms(arch)
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.making import make_images  # noqa: PLC0415 - likewise

    async def command(_interrupts: Interrupts) -> int:
        ids = await make_images(
            name,
            spec,
            wanted,
            url=url,
            environ=os.environ,
            refresh=refresh,
            notify=partial(typer.echo, err=True),
        )
        for made, image in ids.items():
            typer.echo(f"{_label(made)}{image}")
        return 0

    finish(command)


@app.command()
def build(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", help="Images of [images] in barasync.toml.")
    ],
    *,
    arch: Arch = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="NAME:TAG", help="Instead of NAME:latest. Repeatable."),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Do every step, though it was done before.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, help="Steps that execute something at once.", metavar="N"
        ),
    ] = None,
    url: options.Url = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print what the steps print as well.")
    ] = False,
) -> None:
    """Build declared images, and those that they begin with, for every architecture at once."""
    project = find_project(Path.cwd())
    tables = {} if project.document is None else project.document.images
    wanted = tuple(dict.fromkeys(names))
    for name in wanted:
        if name not in tables:
            raise ConfigError(
                f"{project.origin.file} declares no image '{name}'{did_you_mean(name, tables)}",
                hint="write a table [images.NAME] with `from`, `bootstrap` or `containerfile`",
            )
    if tag and len(wanted) > 1:
        raise ConfigError(f"--tag names one image, and {len(wanted)} are to be built")
    wanted_platforms = _platforms(arch)
    # The client takes 0.2 s to load; `--help` and mistakes do without.
    from barasync.cli.building import Build, show_build  # noqa: PLC0415 - as said
    from barasync.images.tags import parse_tag  # noqa: PLC0415 - as said

    show_build(
        Build(
            project=project,
            names=wanted,
            platforms=wanted_platforms,
            tags=tuple(dict.fromkeys(parse_tag(text, "--tag") for text in tag or ())),
            cache=not no_cache,
            jobs=jobs,
            url=url,
            environ=os.environ,
            verbose=verbose,
        )
    )


def _platforms(arch: list[str] | None) -> tuple[Platform, ...]:
    """Read `--arch`; this machine's platform where it was not given."""
    names = [each.strip() for value in arch or () for each in value.split(",")]
    wanted = [platforms.parse(each, "--arch") for each in names]
    return tuple(dict.fromkeys(wanted)) or (platforms.native(platform.machine()),)


app.command("list")(image_listing.list_)
app.command("remove")(image_listing.remove)
app.command("snapshot")(image_snapshot.snapshot)


def _label(made: Platform) -> str:
    return f"{short_name(made):<9}"
