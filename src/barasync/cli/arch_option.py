"""The option `--arch` of the commands that make images."""

from __future__ import annotations

import platform
from typing import Annotated

import typer

from barasync.matrix import platforms
from barasync.matrix.platforms import Platform

Arch = Annotated[
    list[str] | None, typer.Option("--arch", metavar="A,B", help="This machine's by default.")
]


def platforms_of(arch: list[str] | None) -> tuple[Platform, ...]:
    """Return what the option names, each once; this machine's platform where it was not given."""
    names = [each.strip() for value in arch or () for each in value.split(",")]
    wanted = [platforms.parse(each, "--arch") for each in names]
    return tuple(dict.fromkeys(wanted)) or (platforms.native(platform.machine()),)
