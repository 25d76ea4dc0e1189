"""What `barasync image list` and `image remove` do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import typer

from barasync.aiopodman import Conflict, InvalidReference, Podman, PodmanError, parse_reference
from barasync.cli.connect import connect
from barasync.cli.directories import use_files
from barasync.config.spelling import did_you_mean
from barasync.engine.image_uses import UseFiles, unused
from barasync.engine.reaper import Fate
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK, ConfigError
from barasync.images.failures import explained
from barasync.images.inventory import OwnImage, own_images
from barasync.images.ours import KEPT, PREFIX
from barasync.report.words import age, size

_COLUMNS = ("NAME", "PLATFORM", "KIND", "AGE", "SIZE", "ID")
_NAMELESS = "<none>"
_ID_DIGITS = 12
_FEWEST_DIGITS = 4
_KEPT_NAME = f"{PREFIX}{KEPT}:"


async def list_images(
    *, everything: bool, as_json: bool, names: bool, url: str | None, environ: Mapping[str, str]
) -> int:
    """Print the images that barasync made, a row for each name, or one for one without.

    With `everything` also those that it did not make; or only the `names` of what there is.

    Raises:
        ImageError, EngineUnavailable: podman does not list them.
    """
    async with connect(url, environ, notify=partial(typer.echo, err=True)) as connection:
        with explained("listing images"):
            if names and everything:
                # For a completion; what they are takes a request for each.
                listed = await connection.podman.images.list()
                return _print_names(name for image in listed for name in image.repo_tags)
            images = await own_images(connection.podman, everything=everything)
    if names:
        return _print_names(name for image in images for name in image.names)
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


def _print_names(names: Iterable[str]) -> int:
    for name in sorted(set(names)):
        typer.echo(name)
    return EXIT_OK


async def remove_images(
    words: Sequence[str], *, everything: bool, url: str | None, environ: Mapping[str, str]
) -> int:
    """Remove images that barasync made, by name or ID; say of each what became of it.

    With `everything` those of others too.

    A name is taken from its image, which goes with its last one. Nothing is removed unless every
    word names such an image. What a container, a run or a build uses stays, and makes the exit code
    1.

    Raises:
        ConfigError: a word is the name or ID of no image, or of several, or, without `everything`,
            of one that barasync did not make.
        ImageError, EngineUnavailable: podman does not list them.
    """
    async with connect(url, environ, notify=partial(typer.echo, err=True)) as connection:
        podman = connection.podman
        with explained("listing images"):
            images = await own_images(podman, everything=everything)
        files = use_files()
        doomed = [await _doomed(podman, word, images) for word in dict.fromkeys(words)]
        code = EXIT_OK
        for each in doomed:
            fate, line = await _removed(podman, each, files)
            code = code if fate is Fate.REMOVED else EXIT_NOT_PASSED
            typer.echo(line)
    return code


async def remove_kept(podman: Podman, *, dry_run: bool) -> int:
    """Remove what is kept of failed cells of any run; say of each what became of it.

    What a container or a run uses stays, and so does an image that somebody has given a name: it
    loses that of ours. Returns the exit code; what is in use is meant to stay.

    Raises:
        ImageError, EngineUnavailable: podman does not list them.
    """
    with explained("listing images"):
        found = [image for image in await own_images(podman) if image.kind == KEPT]
    if not found:
        typer.echo("nothing is kept of failed cells")
    files, code = use_files(), EXIT_OK
    for image in found:
        name = next((each for each in image.names if each.startswith(_KEPT_NAME)), None)
        word = name or image.id[:_ID_DIGITS]
        if dry_run:
            typer.echo(f"{word}: would be removed")
            continue
        fate, line = await _removed(podman, _Doomed(word, image, name), files)
        code = EXIT_NOT_PASSED if fate is Fate.FAILED else code
        typer.echo(line)
    return code


@dataclass(frozen=True, slots=True)
class _Doomed:
    """An image to be removed, or one of its names to be taken from it; `word` is what was said."""

    word: str
    image: OwnImage
    name: str | None


async def _doomed(podman: Podman, word: str, images: Sequence[OwnImage]) -> _Doomed:
    wanted = _full_names(word, images)
    digits = word.removeprefix("sha256:")
    for image in images:
        for name in wanted:
            if name in image.names:
                return _Doomed(word, image, name)
    if len(digits) >= _FEWEST_DIGITS:
        found = [image for image in images if image.id.startswith(digits)]
        if len(found) > 1:
            raise ConfigError(f"{word} is the beginning of the IDs of {len(found)} images")
        if found:
            return _Doomed(word, found[0], None)
    if await podman.images.exists(word):
        raise ConfigError(
            f"{word} is an image that barasync did not make",
            hint=f"`barasync image remove --any {word}` removes it, or `podman rmi {word}`",
        )
    names = [name for image in images for name in image.names]
    raise ConfigError(
        f"there is no image {word}{did_you_mean(wanted[0] if wanted else word, names)}",
        hint="`barasync image list --all` lists those that there are",
    )


async def _removed(podman: Podman, doomed: _Doomed, files: UseFiles) -> tuple[Fate, str]:
    """Remove what nobody uses; return what became of it, and the line that says so."""
    async with unused(files, (doomed.image.id,)) as is_unused:
        if not is_unused:
            return Fate.IN_USE, f"{doomed.word}: kept, a run or a build uses it"
        try:
            return Fate.REMOVED, await _remove(podman, doomed)
        except Conflict as error:
            return Fate.IN_USE, f"{doomed.word}: kept, in use: {error.cause}"
        except PodmanError as error:
            return Fate.FAILED, f"{doomed.word}: still there: {error}"


async def _remove(podman: Podman, doomed: _Doomed) -> str:
    """Remove an image or take a name from it; return the line that says so."""
    image = doomed.image
    names = image.names if doomed.name is None else (doomed.name,)
    others = [name for name in image.names if name not in names]
    for name in names if others else names[1:]:
        await _remove_one(podman, image, name)
    if not others:
        await _remove_one(podman, image, image.id)
    said = doomed.name or image.id[:_ID_DIGITS]
    if doomed.name is not None:
        stays = f"; {others[0]} is the same image and stays" if others else ""
        return f"{said}: removed{stays}"
    named = f" ({', '.join(names)})" if names else ""
    return f"{said}{named}: removed"


async def _remove_one(podman: Podman, image: OwnImage, reference: str) -> None:
    """Take a name from an image or a list, or remove it by its ID, which has one name at most."""
    if image.is_list:
        await podman.manifests.remove(reference, missing_ok=True)
    else:
        await podman.images.remove(reference, missing_ok=True)


def _full_names(word: str, images: Sequence[OwnImage]) -> Sequence[str]:
    """Return the names, as podman lists them, that a word may be; none for what is only an ID.

    A name without a registry is that of an image here, of `localhost` before all others.

    Raises:
        ConfigError: there are several of them, or it has a digest.
    """
    try:
        parsed = parse_reference(word)
    except InvalidReference:
        return ()
    if parsed.digest:
        raise ConfigError(
            f"{word}: a digest does not say which of its names an image is to lose",
            hint="give NAME:TAG, or the ID, with which it loses all of them",
        )
    named = f"{parsed.name}:{parsed.tag or 'latest'}"
    if parsed.registry:
        return (named,)
    ours = f"localhost/{named}"
    every = {name for image in images for name in image.names}
    others = sorted(name for name in every if name.endswith(f"/{named}") and name != ours)
    if ours not in every and len(others) > 1:
        raise ConfigError(f"{word} may be {' or '.join(others)}", hint="name its registry")
    return (ours, *others)


def _rows(image: OwnImage, now: float) -> list[tuple[str, ...]]:
    return [
        (
            name,
            ",".join(map(str, image.platforms)),
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
        "platforms": [str(platform) for platform in image.platforms],
        "created": datetime.fromtimestamp(image.created, UTC).isoformat(),
        "bytes": image.size,
    }
