"""`barasync image pull` and `push`: images fetched from a registry, and sent to one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from barasync.cli import options
from barasync.cli.arch_option import Arch, platforms_of
from barasync.cli.project import find_project

Reference = Annotated[
    str, typer.Argument(metavar="IMAGE", help="REGISTRY/NAME[:TAG|@DIGEST].", show_default=False)
]

Verbose = Annotated[bool, typer.Option("--verbose", help="Print podman's own lines as well.")]


def pull(
    image: Reference,
    *,
    arch: Arch = None,
    insecure: options.Insecure = False,
    url: options.Url = None,
    verbose: Verbose = False,
) -> None:
    """Fetch an image for every architecture, and print their IDs and digests.

    Each is kept by a name of its own, so that none takes another's place.
    """
    wanted = platforms_of(arch)
    # The client takes 0.2 s to load; `--help` does without.
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - as said
    from barasync.cli.transfers import pull_image  # noqa: PLC0415 - as said

    finish(
        lambda _interrupts: pull_image(
            image, wanted, insecure=insecure, verbose=verbose, url=url, environ=os.environ
        )
    )


def push(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="A declared image that was built, or an image or a manifest list of podman.",
            show_default=False,
        ),
    ],
    destination: Annotated[
        str | None,
        typer.Argument(
            metavar="DESTINATION",
            help="REGISTRY/NAME[:TAG]; IMAGE's own name by default.",
            show_default=False,
        ),
    ] = None,
    *,
    insecure: options.Insecure = False,
    url: options.Url = None,
    verbose: Verbose = False,
) -> None:
    """Send an image to a registry, of a manifest list those of all architectures."""
    project = find_project(Path.cwd())
    declared = project.images
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - as above
    from barasync.cli.transfers import push_image  # noqa: PLC0415 - as above

    finish(
        lambda _interrupts: push_image(
            image,
            destination,
            declared,
            insecure=insecure,
            verbose=verbose,
            url=url,
            environ=os.environ,
        )
    )
