"""What `barasync image bootstrap` does: one declared image for several platforms at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import anyio
from anyio import to_thread

from barasync.cli.connect import connect
from barasync.cli.directories import cache_directory
from barasync.config.schema import BootstrapTable
from barasync.images.bootstrap import bootstrap, recipe_for
from barasync.matrix.platforms import Platform, short_name


async def make_images(
    name: str,
    spec: BootstrapTable,
    wanted: Sequence[Platform],
    *,
    url: str | None,
    environ: Mapping[str, str],
    refresh: bool,
    notify: Callable[[str], None],
) -> dict[Platform, str]:
    """Make the image for every platform, at the same time; return their IDs in order.

    Raises:
        BarasyncError: one of them could not be made; the others are given up.
    """
    for platform in wanted:
        # A mistake needs no podman to be told.
        await to_thread.run_sync(recipe_for, name, spec, platform)
    made: dict[Platform, str] = {}
    async with connect(url, environ, notify=notify) as connection:

        async def make(platform: Platform) -> None:
            made[platform] = await bootstrap(
                connection.podman,
                name=name,
                spec=spec,
                platform=platform,
                cache_dir=cache_directory(),
                on_progress=lambda line: notify(f"{name} {short_name(platform)}: {line}"),
                refresh=refresh,
            )

        async with anyio.create_task_group() as group:
            for platform in wanted:
                group.start_soon(make, platform)
    return {platform: made[platform] for platform in wanted}
