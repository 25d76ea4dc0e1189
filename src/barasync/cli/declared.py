"""The images of a project, put together for a command that builds or uses them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.from_thread import check_cancelled

from barasync.cli.connect import Connection
from barasync.cli.directories import cache_directory, lock_directory
from barasync.cli.project import Project
from barasync.engine.build import BuildContext
from barasync.engine.identity import Identity
from barasync.engine.images import Images
from barasync.engine.once import Once
from barasync.images.registry import Registries
from barasync.images.resolve import ResolvedImage
from barasync.matrix.platforms import Platform
from barasync.workspace.scan import scan
from barasync.workspace.tree import Tree

Tell = Callable[[str, Platform, str], None]
"""Hears a line on an image, for a person: the image's name, the platform, the line."""


def declared_images(
    project: Project,
    connection: Connection,
    identity: Identity,
    *,
    run: str,
    registries: Registries,
    logs: Path,
    hold: Callable[[str], Awaitable[None]],
    tree: Callable[[], Awaitable[Tree]],
    tell: Tell,
    on_found: Callable[[ResolvedImage], None] = lambda _: None,
    tell_output: Tell | None = None,
    cache: bool = True,
    jobs: int | None = None,
    check_elf: bool = False,
) -> Images:
    """Return what finds or makes images, for a run or a build of the ID `run`.

    `registries` are how they are asked for images that are not declared. `jobs` is how many steps
    execute something at once, as many as the service's host has CPUs if `None`. What steps print
    goes to `logs`, and to `tell_output`. `hold` keeps an image from being pruned, `on_found` hears
    of every image. `check_elf` compares their shells with their platforms.
    """
    document = project.document
    context = BuildContext(
        podman=connection.podman,
        project=project.directory,
        tree=tree,
        labels=identity.labels(run),
        maker=identity.maker_labels(run),
        rlimits=connection.rlimits,
        logs=logs,
        locks=lock_directory(),
        processors=anyio.CapacityLimiter(jobs or connection.host.cpus or 1),
        on_progress=tell,
        on_output=tell_output or (lambda _name, _platform, _line: None),
        cache=cache,
        hold=hold,
    )
    return Images(
        {} if document is None else document.images,
        context,
        registries=registries,
        cache_dir=cache_directory(),
        on_found=on_found,
        check_elf=check_elf,
    )


async def read_tree(directory: Path) -> Tree:
    """Read the project's files.

    Raises:
        ConfigError: one of them cannot be read.
    """
    # The thread cannot be left behind: it would be waited for when the interpreter ends.
    return await to_thread.run_sync(partial(scan, directory, checkpoint=check_cancelled))


def read_once(directory: Path) -> Callable[[], Awaitable[Tree]]:
    """Return what gives the project's files, read when they are wanted first."""
    trees: Once[Path, Tree] = Once(read_tree)
    return partial(trees.get, directory)
