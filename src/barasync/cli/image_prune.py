"""`barasync image prune`: remove images that barasync made and nobody used for long."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from barasync.cli import options
from barasync.config.sizes import parse_size
from barasync.images.pruning import Bounds
from barasync.report.words import count, size

if TYPE_CHECKING:
    from barasync.cli.interrupts import Interrupts
    from barasync.engine.pruning import Gone, Pruned

_AGE = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9})?) ?(?P<unit>[smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_ID_DIGITS = 12


def parse_age(text: str) -> float:
    """Return the seconds that an age such as `14d`, `12h` or `1.5w` means.

    Raises:
        BadParameter: it is none.
    """
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no age; write a number and a unit: 12h, 14d, 8w")
    return float(found["number"]) * _UNITS[found["unit"]].total_seconds()


def _parse_size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def prune(
    *,
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than",
            parser=parse_age,
            metavar="AGE",
            help="Those not used for so long: 12h, 14d, 8w.",
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=0, metavar="N", help="All but the N used last."),
    ] = None,
    max_size: Annotated[
        int | None,
        typer.Option(
            "--max-size",
            parser=_parse_size,
            metavar="SIZE",
            help="The least recently used, until the others take no more than that: 10g.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as a JSON document.")] = False,
    url: options.Url = None,
) -> None:
    """Remove images that barasync made: layers, steps, finished images, those it pulled.

    Without a bound, what was not used for 14 days, and what is beyond 200 images and 20 workspace
    layers, as `image build` does at its end. What stays: all that a container, a run or a build
    uses, what it is made from, and what has a name of yours.
    """
    bounds = Bounds(seconds=older_than, count=keep, bytes=max_size)
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - keeps `--help` quick

    async def command(_interrupts: Interrupts) -> int:
        pruned = await _prune(url, os.environ, bounds, dry_run=dry_run)
        typer.echo(as_document(pruned) if as_json else "\n".join(told(pruned, dry_run=dry_run)))
        return 0

    finish(command)


async def _prune(
    url: str | None, environ: Mapping[str, str], bounds: Bounds, *, dry_run: bool
) -> Pruned:
    from anyio import to_thread  # noqa: PLC0415 - likewise

    from barasync.cli.connect import connect  # noqa: PLC0415 - likewise
    from barasync.cli.directories import use_files  # noqa: PLC0415 - likewise
    from barasync.engine import pruning  # noqa: PLC0415 - likewise
    from barasync.engine.identity import Identity  # noqa: PLC0415 - likewise

    async with connect(url, environ, notify=_notify) as connection:
        return await pruning.prune(
            connection.podman,
            await to_thread.run_sync(Identity.current),
            run="",
            bounds=pruning.AUTOMATIC if bounds == Bounds() else (bounds,),
            files=use_files(),
            now=time.time(),
            dry_run=dry_run,
        )


def told(pruned: Pruned, *, dry_run: bool) -> list[str]:
    """Return a line for everything that went, and one that counts it."""
    removed = "would be removed" if dry_run else "removed"
    lines = [
        f"{_name(image)} ({image.kind}, {size(image.bytes)}): {removed}" for image in pruned.images
    ]
    lines += [f"{name} (manifest list): {removed}" for name in pruned.lists]
    if pruned.busy:
        lines.append(
            f"nothing was removed: run {pruned.busy}, of another user or host, is at work on this"
            " service; try again when it has ended"
        )
    elif not pruned.images:
        lines.append("nothing to remove")
    else:
        freed = "would be freed" if dry_run else "freed"
        images = count(len(pruned.images), "image")
        lines.append(f"{images} {removed}, {size(pruned.bytes)} ({pruned.bytes} bytes) {freed}")
    return lines


def as_document(pruned: Pruned) -> str:
    """Return the same as JSON; sizes in bytes."""
    images = [
        {"id": each.id, "kind": each.kind, "names": each.names, "bytes": each.bytes}
        for each in pruned.images
    ]
    document = {"images": images, "lists": pruned.lists, "bytes": pruned.bytes, "busy": pruned.busy}
    return json.dumps(document, indent=2)


def _name(image: Gone) -> str:
    return " ".join(image.names) or image.id[:_ID_DIGITS]


def _notify(line: str) -> None:
    typer.echo(line, err=True)
