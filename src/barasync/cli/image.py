"""`barasync image`: images that the project declares."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from barasync.cli import options
from barasync.cli.arch_option import Arch, platforms_of
from barasync.cli.commands import group_of
from barasync.cli.project import find_project
from barasync.errors import ConfigError
from barasync.images.freshness import Freshness
from barasync.terminal_text import one_line

_COMMANDS = {
    "bootstrap": "barasync.cli.image_bootstrap:bootstrap",
    "containerfile": "barasync.cli.image_containerfile:containerfile",
    "prune": "barasync.cli.image_prune:prune",
    "pull": "barasync.cli.registry:pull",
    "push": "barasync.cli.registry:push",
    "build": "barasync.cli.image:build",
    "list": "barasync.cli.image_listing:list_",
    "remove": "barasync.cli.image_listing:remove",
    "snapshot": "barasync.cli.image_snapshot:snapshot",
}

app = typer.Typer(
    cls=group_of(_COMMANDS), help="Images that the project declares.", no_args_is_help=True
)


@app.callback()
def images() -> None:
    """Images that the project declares."""


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
    define: options.Define = None,
    tag_each: Annotated[
        bool, typer.Option("--tag-each", help="Name the image of each architecture NAME:TAG-ARCH.")
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Do every step, though it was done before.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, help="Steps that execute something at once.", metavar="N"
        ),
    ] = None,
    pull: options.Pull = Freshness.MISSING,
    insecure: options.Insecure = False,
    check_elf: options.CheckElf = False,
    url: options.Url = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print what the steps print as well.")
    ] = False,
) -> None:
    """Build declared images, and those that they begin with, for every architecture at once."""
    wanted = tuple(dict.fromkeys(names))
    called = {wanted[0]: one_line(tag[0])} if tag else {}
    project = find_project(Path.cwd(), define, called=called)
    for name in wanted:
        project.image(name)
    if tag and len(wanted) > 1:
        raise ConfigError(f"--tag names one image, and {len(wanted)} are to be built")
    wanted_platforms = platforms_of(arch)
    # The client takes 0.2 s to load; `--help` and mistakes do without.
    from barasync.cli.building import Build, show_build  # noqa: PLC0415 - as said
    from barasync.images.registry import Registries  # noqa: PLC0415 - as said
    from barasync.images.tags import parse_tag  # noqa: PLC0415 - as said

    show_build(
        Build(
            project=project,
            names=wanted,
            platforms=wanted_platforms,
            tag_each=tag_each,
            tags=tuple(dict.fromkeys(parse_tag(text, "--tag") for text in tag or ())),
            cache=not no_cache,
            jobs=jobs,
            url=url,
            environ=os.environ,
            registries=Registries(environ=os.environ, pull=pull, insecure=insecure),
            verbose=verbose,
            check_elf=check_elf,
        )
    )
