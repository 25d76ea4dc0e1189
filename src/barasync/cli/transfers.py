"""What `barasync image pull` and `push` do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import anyio
import typer

from barasync.aiopodman import InvalidReference, Reference, is_image_id, parse_reference
from barasync.cli.connect import connect
from barasync.errors import EXIT_OK, ConfigError
from barasync.images.freshness import Freshness
from barasync.images.registry import Registries, push
from barasync.images.resolve import ResolvedImage, resolve
from barasync.images.tags import default_tag
from barasync.matrix.platforms import Platform, short_name

_notify = partial(typer.echo, err=True)


async def pull_image(
    image: str,
    wanted: Sequence[Platform],
    *,
    insecure: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Fetch an image for every platform at once; the first that cannot be ends the others.

    IDs and digests go to stdout in the order of `wanted`, progress to stderr.

    Raises:
        ConfigError: `image` is nothing that a registry could have.
        BarasyncError: one of them cannot be fetched.
    """
    reference = _of_a_registry(image, "IMAGE")
    registries = Registries(environ=environ, insecure=insecure, pull=Freshness.ALWAYS)
    found: dict[Platform, ResolvedImage] = {}
    async with connect(url, environ, notify=_notify) as connection:

        async def fetch(platform: Platform) -> None:
            def tell(line: str) -> None:
                _notify(f"{image} {short_name(platform)}: {line}")

            name = str(reference)
            found[platform] = await resolve(
                connection.podman, name, platform, (), registries, on_progress=tell
            )

        async with anyio.create_task_group() as group:
            for platform in wanted:
                group.start_soon(fetch, platform)
    for platform in wanted:
        typer.echo(f"{image} {short_name(platform)} {found[platform].id}")
    for digest in dict.fromkeys(each for one in found.values() for each in one.digests):
        typer.echo(f"{image} digest {digest}")
    return EXIT_OK


async def push_image(
    image: str,
    destination: str | None,
    declared: Collection[str],
    *,
    insecure: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Send an image or a manifest list; its name there goes to stdout, progress to stderr.

    Of a declared image it is what `image build` named last. A podman that tells the digest has it
    in the name.

    Raises:
        ConfigError: there is no destination, or none that a registry could have.
        BarasyncError: it cannot be sent.
    """
    source = str(default_tag(image, None)) if image in declared else image
    if destination is None and (image in declared or is_image_id(image)):
        raise ConfigError(
            f"'{image}' has no name in a registry", hint="give REGISTRY/NAME:TAG after it"
        )
    target = _of_a_registry(destination or image, "IMAGE" if destination is None else "DESTINATION")
    if target.digest:
        raise ConfigError(f"{target} has a digest, which the registry gives")
    registries = Registries(environ=environ, insecure=insecure)
    async with connect(url, environ, notify=_notify) as connection:

        def tell(line: str) -> None:
            _notify(f"{target}: {line}")

        digest = await push(connection.podman, source, str(target), registries, on_progress=tell)
    typer.echo(f"{target.name}@{digest}" if digest else str(target))
    return EXIT_OK


def _of_a_registry(text: str, where: str) -> Reference:
    """Read a reference of a registry; a short name is podman's to complete.

    Raises:
        ConfigError: it is none, or is on `localhost`.
    """
    try:
        reference = parse_reference(text)
    except InvalidReference as error:
        raise ConfigError(f"{where}: {error}") from error
    if reference.registry == "localhost":
        raise ConfigError(
            f"{where}: {text} is on this podman service, not in a registry",
            hint="a registry on this machine is localhost:PORT or 127.0.0.1:PORT",
        )
    return reference
