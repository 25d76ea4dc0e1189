"""What `barasync image list` and `image remove` do."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import typer

from barasync.aiopodman import Conflict, InvalidReference, Podman, PodmanError, parse_reference
from barasync.cli.connect import connect
from barasync.config.spelling import did_you_mean
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK, ConfigError
from barasync.images.failures import explained
from barasync.images.inventory import OwnImage, own_images
from barasync.report.words import age, size

_COLUMNS = ("NAME", "PLATFORM", "KIND", "AGE", "SIZE", "ID")
_NAMELESS = "<none>"
_ID_DIGITS = 12
_FEWEST_DIGITS = 4


async def list_images(*, as_json: bool, url: str | None, environ: Mapping[str, str]) -> int:
    """Print the images that barasync made, a row for each name, or one for one without.

    Raises:
        ImageError, EngineUnavailable: podman does not list them.
    """
    async with connect(url, environ, notify=partial(typer.echo, err=True)) as connection:
        with explained("listing images"):
            images = await own_images(connection.podman)
    if as_json:
        typer.echo(json.dumps([_as_data(image) for image in images], indent=2))
        return EXIT_OK
    now = time.time()
    rows = [_COLUMNS, *(row for image in images for row in _rows(image, now))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        columns = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        typer.echo("  ".join(columns).rstrip())
    return EXIT_OK


async def remove_images(
    words: Sequence[str], *, url: str | None, environ: Mapping[str, str]
) -> int:
    """Remove images that barasync made, by name or ID; say of each what became of it.

    A name is taken from its image, which goes with its last one. Nothing is removed unless every
    word names such an image. What a container uses stays, and the exit code is 1 then.

    Raises:
        ConfigError: a word is the name or ID of no image, or of one that barasync did not make.
        ImageError, EngineUnavailable: podman does not list them.
    """
    async with connect(url, environ, notify=partial(typer.echo, err=True)) as connection:
        podman = connection.podman
        with explained("listing images"):
            images = await own_images(podman)
        doomed = [await _doomed(podman, word, images) for word in dict.fromkeys(words)]
        code = EXIT_OK
        for each in doomed:
            try:
                line = await _remove(podman, each)
            except Conflict as error:
                line, code = f"{each.word}: kept, in use: {error.cause}", EXIT_NOT_PASSED
            except PodmanError as error:
                line, code = f"{each.word}: still there: {error}", EXIT_NOT_PASSED
            typer.echo(line)
    return code


@dataclass(frozen=True, slots=True)
class _Doomed:
    """An image to be removed, or one of its names to be taken from it; `word` is what was said."""

    word: str
    image: OwnImage
    name: str | None


async def _doomed(podman: Podman, word: str, images: Sequence[OwnImage]) -> _Doomed:
    wanted = _full_name(word)
    digits = word.removeprefix("sha256:")
    for image in images:
        if wanted in image.names:
            return _Doomed(word, image, wanted)
    if len(digits) >= _FEWEST_DIGITS:
        found = [image for image in images if image.id.startswith(digits)]
        if len(found) > 1:
            raise ConfigError(f"{word} is the beginning of the IDs of {len(found)} images")
        if found:
            return _Doomed(word, found[0], None)
    if await podman.images.exists(word):
        raise ConfigError(
            f"{word} is an image that barasync did not make",
            hint=f"`podman rmi {word}` removes it",
        )
    names = [name for image in images for name in image.names]
    raise ConfigError(
        f"there is no image {word}{did_you_mean(wanted or word, names)}",
        hint="`barasync image list` lists those that barasync made",
    )


async def _remove(podman: Podman, doomed: _Doomed) -> str:
    """Remove an image or take a name from it; return the line that says so."""
    image = doomed.image
    if doomed.name is not None:
        await podman.images.remove(doomed.name, missing_ok=True)
        others = [name for name in image.names if name != doomed.name]
        stays = f"; {others[0]} is the same image and stays" if others else ""
        return f"{doomed.name}: removed{stays}"
    # Podman removes by its ID no image that has several names.
    for name in image.names[1:]:
        await podman.images.remove(name, missing_ok=True)
    await podman.images.remove(image.id, missing_ok=True)
    named = f" ({', '.join(image.names)})" if image.names else ""
    return f"{image.id[:_ID_DIGITS]}{named}: removed"


def _full_name(word: str) -> str | None:
    """Return the name as podman lists it, `None` for what can only be an ID."""
    try:
        parsed = parse_reference(word)
    except InvalidReference:
        return None
    registry = "" if parsed.registry else "localhost/"
    return f"{registry}{parsed.name}:{parsed.tag or 'latest'}"


def _rows(image: OwnImage, now: float) -> list[tuple[str, ...]]:
    return [
        (
            name,
            str(image.platform),
            image.kind,
            age(now - image.created),
            size(image.size),
            image.id[:_ID_DIGITS],
        )
        for name in image.names or (_NAMELESS,)
    ]


def _as_data(image: OwnImage) -> dict[str, object]:
    return {
        "id": image.id,
        "names": list(image.names),
        "kind": image.kind,
        "platform": str(image.platform),
        "created": datetime.fromtimestamp(image.created, UTC).isoformat(),
        "bytes": image.size,
    }
