"""What `barasync image snapshot` does."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from barasync.cli.containers import found_container
from barasync.errors import EXIT_OK
from barasync.images.snapshot import take_snapshot
from barasync.images.tags import parse_tag
from barasync.report.words import size


async def snapshot_container(
    container: str, tag: str, *, pause: bool, url: str | None, environ: Mapping[str, str]
) -> int:
    """Make an image of a container and print its ID; what is not in it is said on stderr.

    Raises:
        ConfigError: there is no such container, or the name cannot be given.
        ImageError, EngineUnavailable: as `take_snapshot`.
    """
    name = parse_tag(tag, "TAG")
    async with found_container(container, url, environ) as (podman, handle, _state):
        made = await take_snapshot(podman, handle, name, pause=pause)
    typer.echo(f"{name}: {made.platform}, {size(made.size)}", err=True)
    if made.mounted:
        typer.echo(f"note: without what was mounted at {', '.join(made.mounted)}", err=True)
    typer.echo(made.id)
    return EXIT_OK
