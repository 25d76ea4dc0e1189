"""`barasync image bootstrap`: a declared image from a distribution's packages."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import UnsetType
from msgspec.structs import replace

from barasync.cli import options
from barasync.cli.arch_option import Arch, platforms_of
from barasync.cli.project import find_project
from barasync.config.schema import BootstrapTable, BootstrapVariant
from barasync.errors import ConfigError
from barasync.matrix.platforms import short_name

if TYPE_CHECKING:
    from barasync.cli.interrupts import Interrupts
    from barasync.cli.project import Project
    from barasync.matrix.platforms import Platform


def bootstrap(
    name: Annotated[str, typer.Argument(help="A declared image.")],
    *,
    arch: Arch = None,
    variant: Annotated[
        BootstrapVariant | None, typer.Option("--variant", help="Unpack packages, or install them.")
    ] = None,
    mirror: Annotated[
        list[str] | None, typer.Option("--mirror", metavar="URL", help="Instead of the file's.")
    ] = None,
    component: Annotated[
        list[str] | None, typer.Option("--component", metavar="A,B", help="As main, universe.")
    ] = None,
    signed_by: Annotated[
        Path | None, typer.Option("--signed-by", metavar="KEYRING", help="Only its keys count.")
    ] = None,
    allow_expired: Annotated[
        bool | None, typer.Option("--allow-expired", help="Take an index that is too old.")
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option("--snapshot", metavar="DATE", help="As 20260131T000000Z: the packages then."),
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Take new packages even if it is there.")
    ] = False,
    url: options.Url = None,
) -> None:
    """Make an image from a distribution's packages, without a registry.

    Options take the place of what the file says; that is another image, which cells do not get.
    """
    given = {
        "variant": variant,
        "mirrors": mirror,
        "components": _split(component),
        "signed_by": None if signed_by is None else str(signed_by.absolute()),
        "allow_expired": allow_expired,
        "snapshot": snapshot,
    }
    spec = replace(
        _declared(find_project(Path.cwd()), name),
        **{key: value for key, value in given.items() if value is not None},
    )
    wanted = platforms_of(arch)
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


def _declared(project: Project, name: str) -> BootstrapTable:
    """Return what the file says of the image."""
    table = project.image(name).bootstrap
    if isinstance(table, UnsetType):
        raise ConfigError(
            f"{project.origin.key('images', name)}: this image is not made by `bootstrap`"
        )
    return table


def _split(values: list[str] | None) -> list[str] | None:
    """Return the words of an option that takes several, between commas or again and again."""
    if values is None:
        return None
    return [word.strip() for value in values for word in value.split(",")]


def _label(made: Platform) -> str:
    return f"{short_name(made):<9}"
