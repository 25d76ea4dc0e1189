"""What `barasync image pull` and `push` do."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

import anyio
import typer

from barasync.aiopodman import InvalidReference, Reference, is_image_id, parse_reference
from barasync.cli.connect import connect
from barasync.cli.terminal import channels
from barasync.cli.transfer_lines import TransferLines, transfer_lines
from barasync.errors import EXIT_OK, ConfigError
from barasync.images.freshness import Freshness
from barasync.images.listing import Listing
from barasync.images.registry import Registries, push
from barasync.images.resolve import ResolvedImage, resolve
from barasync.images.tags import default_tag
from barasync.matrix.platforms import Platform, short_name
from barasync.report.terminal import OutputMode, choose_mode
from barasync.report.words import duration

_notify = partial(typer.echo, err=True)


async def pull_image(
    image: str,
    wanted: Sequence[Platform],
    *,
    insecure: bool,
    verbose: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Fetch an image for every platform at once; the first that cannot be ends the others.

    IDs and digests go to stdout in the order of `wanted`, then the digest of the manifest list that
    they are from, where it is one; progress goes to stderr, with `verbose` podman's lines as well.

    Raises:
        ConfigError: `image` is nothing that a registry could have.
        BarasyncError: one of them cannot be fetched.
    """
    reference = _of_a_registry(image, "IMAGE")
    registries = Registries(environ=environ, insecure=insecure, pull=Freshness.ALWAYS)
    found: dict[Platform, ResolvedImage] = {}
    async with (
        connect(url, environ, notify=_notify) as connection,
        _lines(environ, verbose=verbose) as lines,
        anyio.create_task_group() as group,
    ):
        listing = Listing(connection.podman)

        async def fetch(platform: Platform) -> None:
            subject = f"{image} {short_name(platform)}"
            with lines.living(subject):
                found[platform] = await resolve(
                    connection.podman,
                    str(reference),
                    platform,
                    (),
                    registries,
                    listing=listing,
                    on_progress=partial(lines.say, subject),
                    on_words=partial(lines.hear, subject),
                )

        for platform in wanted:
            group.start_soon(fetch, platform)
    for platform in wanted:
        typer.echo(f"{image} {short_name(platform)} {found[platform].id}")
    images = [found[platform] for platform in wanted]
    for one in images:
        if one.digest:
            typer.echo(f"{image} {short_name(one.platform)} digest {one.digest}")
    for digest in dict.fromkeys(one.list_digest for one in images if one.list_digest):
        typer.echo(f"{image} list {digest}")
    return EXIT_OK


async def push_image(
    image: str,
    destination: str | None,
    declared: Collection[str],
    *,
    insecure: bool,
    verbose: bool,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Send an image or a manifest list; its name there goes to stdout, progress to stderr.

    Of a declared image it is what `image build` named last. The name has the digest, unless that
    is not known, which is said.

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
    subject = str(target)
    began = time.monotonic()
    async with (
        connect(url, environ, notify=_notify) as connection,
        _lines(environ, verbose=verbose) as lines,
    ):
        with lines.living(subject):
            lines.say(subject, "pushing")
            digest = await push(
                connection.podman,
                source,
                subject,
                registries,
                on_progress=partial(lines.say, subject),
                on_words=partial(lines.hear, subject),
            )
            lines.say(subject, f"pushed in {duration(time.monotonic() - began)}")
    typer.echo(f"{target.name}@{digest}" if digest else str(target))
    return EXIT_OK


def _lines(
    environ: Mapping[str, str], *, verbose: bool
) -> AbstractAsyncContextManager[TransferLines]:
    _, error = channels(environ)
    lives = choose_mode(OutputMode.AUTO, terminal=error.terminal, environment=environ)
    return transfer_lines(
        error, lives=lives is OutputMode.LIVE, verbose=verbose, clock=time.monotonic
    )


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
