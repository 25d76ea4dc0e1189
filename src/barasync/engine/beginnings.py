"""What a declared image begins with where that is no image: packages, or a Containerfile."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from anyio import to_thread

from barasync.config.schema import BootstrapTable, ImageTable
from barasync.engine.build import BuildContext
from barasync.engine.containerfile_bases import Bases
from barasync.engine.containerfile_build import build_containerfile, find_containerfile
from barasync.images.bootstrap import bootstrap, existing, recipe_for
from barasync.images.registry import Registries
from barasync.matrix.platforms import Platform


async def find_beginning(
    context: BuildContext, name: str, table: ImageTable, platform: Platform, bases: Bases
) -> str | None:
    """Return the ID of what the declared image `name` begins with, if it is here; make nothing.

    `bases` tell what a Containerfile is from.

    Raises:
        ConfigError: the image's table cannot be meant.
        EngineUnavailable: podman does not answer.
    """
    if isinstance(table.bootstrap, BootstrapTable):
        recipe = await to_thread.run_sync(recipe_for, name, table.bootstrap, platform)
        here = await existing(context.podman, recipe)
        return None if here is None else here.id
    return await find_containerfile(context, name, table, platform, bases)


async def make_beginning(
    context: BuildContext,
    name: str,
    table: ImageTable,
    platform: Platform,
    *,
    bases: Bases,
    registries: Registries,
    cache_dir: Path,
) -> tuple[str, int]:
    """Return the ID of what an image begins with, made if need be, and how many steps that took.

    `bases` tell what a Containerfile is from, `registries` how podman's builder asks for what they
    do not know. Bootstrapped root file systems stay in
    `cache_dir`. When cancelled, no container is left.

    Raises:
        ImageError: it cannot be made.
        ConfigError, EngineUnavailable: as for `find_beginning`.
    """
    if isinstance(table.bootstrap, BootstrapTable):
        recipe = await to_thread.run_sync(recipe_for, name, table.bootstrap, platform)
        if await existing(context.podman, recipe) is None:
            await context.ready()
        image = await bootstrap(
            context.podman,
            name=name,
            spec=table.bootstrap,
            platform=platform,
            cache_dir=cache_dir,
            on_progress=partial(context.on_progress, name, platform),
        )
        return image, 0
    built = await build_containerfile(
        context,
        name,
        table,
        platform,
        bases=bases,
        registries=registries,
    )
    return built.id, built.executed
