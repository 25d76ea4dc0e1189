"""From a recipe to an image of a podman service."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio
from anyio import to_thread

from barasync.aiopodman import ImageInspect, NotFound, Podman
from barasync.config.schema import BootstrapTable
from barasync.errors import ImageError
from barasync.images.bootstrap import archives
from barasync.images.bootstrap.archives import Archive
from barasync.images.bootstrap.checks import recipe_for
from barasync.images.bootstrap.mmdebstrap import Ended, Failure, run
from barasync.images.bootstrap.recipe import SUITE_LABEL, Recipe
from barasync.images.bootstrap.sources import Source
from barasync.images.distribution import Tool, install_command
from barasync.images.emulation import Host, require
from barasync.images.failures import explained
from barasync.images.ours import BOOTSTRAP, KEY_LABEL, KIND_LABEL
from barasync.matrix.platforms import Platform

_CHUNK_BYTES = 1024 * 1024
_OS_RELEASE = Path("/etc/os-release")

BACK_OFF = (0.0, 3.0, 10.0)
"""Seconds to wait before each try."""


async def bootstrap(
    podman: Podman,
    *,
    name: str,
    spec: BootstrapTable,
    platform: Platform,
    cache_dir: Path,
    on_progress: Callable[[str], None],
    refresh: bool = False,
    back_off: Sequence[float] = BACK_OFF,
) -> str:
    """Make the declared image `name` for `platform` from packages; return its ID.

    An image of the same recipe is returned at once, and an archive of it in `cache_dir` saves the
    download; `refresh` takes new packages all the same. The image is named
    `localhost/barasync/NAME:ARCH-KEY` and carries its key and the suite it was really
    made from. `on_progress` is called with a line for a person at every step.

    Downloads that fail are tried again after `back_off` seconds. Where the index of a young port is
    no good in the declared suite, sid takes its place; `on_progress` and the label say so. An index
    that is expired is taken only where the table says `allow_expired`, or names a snapshot.

    Packages of a foreign architecture that are to be installed take an emulator of this host.

    When cancelled, mmdebstrap is ended and nothing half made is left; podman may finish an import
    that it has received whole. Calls for one recipe at the same time, in other processes as well,
    do the work twice and no harm.

    Raises:
        ConfigError: the specification cannot be meant.
        ImageError: the image could not be made; the message ends with mmdebstrap's own words.
        EngineUnavailable: podman does not answer, or this host has no emulator.
    """
    recipe = await to_thread.run_sync(recipe_for, name, spec, platform)
    if not refresh:
        found = await existing(podman, recipe)
        if found is not None:
            _say_suite(recipe, found.labels.get(SUITE_LABEL, recipe.suite), on_progress)
            return found.id
    with ExitStack() as stack:
        archive = None
        if not refresh:
            archive = await to_thread.run_sync(archives.find, cache_dir, recipe)
        if archive is None:
            file = stack.enter_context(await to_thread.run_sync(archives.unnamed, cache_dir))
            source = await _Maker(recipe, file, on_progress, back_off).make()
            await to_thread.run_sync(archives.keep, cache_dir, file, recipe, source.suite)
            archive = Archive(file, source.suite)
        else:
            stack.enter_context(archive.file)
            _say_suite(recipe, archive.suite, on_progress)
            on_progress("taking the root file system from the cache")
        on_progress("importing it into podman")
        return await _import(podman, recipe, archive)


async def existing(podman: Podman, recipe: Recipe) -> ImageInspect | None:
    """Return the image of a recipe, if it is here.

    Raises:
        ImageError: podman refuses.
        EngineUnavailable: podman does not answer.
    """
    with explained(f"looking for image '{recipe.name}' for {recipe.platform}"):
        try:
            found = await podman.images.inspect(recipe.reference)
        except NotFound:
            return None
    return found if found.labels.get(KEY_LABEL) == recipe.key else None


@dataclass(frozen=True, slots=True)
class _Maker:
    """Writes the root file system of a recipe into a file."""

    recipe: Recipe
    file: BinaryIO
    on_progress: Callable[[str], None]
    back_off: Sequence[float]

    async def make(self) -> Source:
        """Write it; return where its packages are from."""
        if await to_thread.run_sync(shutil.which, "mmdebstrap") is None:
            raise await to_thread.run_sync(_lacks_mmdebstrap, self.recipe)
        if self.recipe.variant.installs:
            await to_thread.run_sync(require, [self.recipe.platform], Host.current())
        *preferred, last = self.recipe.sources
        for source in preferred:
            # A broken index does not mend in seconds, and there is another suite to turn to.
            ended = await self._try(source, {Failure.NETWORK})
            if ended.succeeded:
                return source
            if ended.failure not in {Failure.INDEX, Failure.EXPIRED}:
                raise await to_thread.run_sync(_failed, self.recipe, source, ended)
            self.on_progress(
                f"{source.suite} is no good for {self.recipe.platform}: {ended.failure.value}; "
                f"taking {last.suite} instead"
            )
        ended = await self._try(last, {Failure.NETWORK, Failure.INDEX})
        if not ended.succeeded:
            raise await to_thread.run_sync(_failed, self.recipe, last, ended)
        return last

    async def _try(self, source: Source, passing: set[Failure]) -> Ended:
        """Run mmdebstrap, again if it failed for a reason that may pass; return the last end."""
        recipe = self.recipe
        mode = recipe.mode(root=os.geteuid() == 0)
        keyring = await to_thread.run_sync(_keyring, recipe)
        ended = Ended(code=None)
        for seconds in self.back_off:
            if seconds:
                self.on_progress(f"{ended.failure.value}; trying again in {seconds:g} s")
                await anyio.sleep(seconds)
            self.file.seek(0)
            self.file.truncate()
            ended = await run(
                recipe.command(source, mode, keyring=keyring),
                environment=recipe.environment,
                files=[recipe.keyring] if recipe.signed_by else [],
                mode=mode,
                output=self.file.fileno(),
                on_progress=self.on_progress,
            )
            if ended.succeeded or ended.failure not in passing:
                break
        return ended


async def _import(podman: Podman, recipe: Recipe, archive: Archive) -> str:
    labels = {
        KIND_LABEL: BOOTSTRAP,
        KEY_LABEL: recipe.key,
        SUITE_LABEL: archive.suite,
    }
    with explained(f"importing image '{recipe.name}' for {recipe.platform}"):
        async with aclosing(_chunks(archive.file)) as chunks:
            return await podman.images.import_(
                chunks,
                reference=recipe.reference,
                architecture=recipe.platform.architecture,
                variant=recipe.platform.variant,
                os=recipe.platform.os,
                changes=recipe.changes(labels),
            )


async def _chunks(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    """Yield a file from its beginning, in pieces of at most `_CHUNK_BYTES`."""
    file.seek(0)
    while data := await to_thread.run_sync(file.read, _CHUNK_BYTES):
        yield data


def _say_suite(recipe: Recipe, suite: str, on_progress: Callable[[str], None]) -> None:
    if suite != recipe.suite:
        on_progress(f"made from {suite} instead of {recipe.suite}, whose index was no good")


def _keyring(recipe: Recipe) -> Path | None:
    """Return the keyring whose keys alone count; `None` where this host keeps it elsewhere."""
    if recipe.signed_by:
        return recipe.own_keyring
    return recipe.keyring if recipe.keyring.exists() else None


def _failed(recipe: Recipe, source: Source, ended: Ended) -> ImageError:
    message = (
        f"image '{recipe.name}' for {recipe.platform} could not be made from "
        f"{recipe.distribution} {source.suite}: {ended.failure.value}"
    )
    return ImageError("\n  ".join((message, *ended.excerpt)), hint=_hint(recipe, source, ended))


def _hint(recipe: Recipe, source: Source, ended: Ended) -> str | None:
    """Return what to do next."""
    where = f"images.{recipe.name}.bootstrap"
    suite = f"{recipe.distribution} {source.suite}"
    mirror = f"{where}.mirrors" if recipe.mirrors else "another mirror"
    return {
        Failure.SPACE: "free some space in the temporary directory and in the cache",
        Failure.PRIVILEGES: "give this user subordinate IDs (/etc/subuid, /etc/subgid) and "
        "install newuidmap (package uidmap); root needs the capability SYS_ADMIN to install "
        'packages, variant = "extract" takes neither',
        Failure.KEY: _key_hint(recipe),
        Failure.EXPIRED: f"write {where}.allow_expired = true to take old packages, "
        "or name a mirror that is up to date in its mirrors",
        Failure.INDEX: "the mirror may be in the middle of an update; try again later",
        Failure.SUITE: f"check {where}.suite" + (" and its mirrors" if recipe.mirrors else ""),
        Failure.PACKAGE: f"check {where}.packages against the packages of {suite} "
        f"for {recipe.debian}",
        Failure.NETWORK: f"check the network and its proxy settings, or {mirror}; then try again",
    }.get(ended.failure)


def _key_hint(recipe: Recipe) -> str:
    where = f"images.{recipe.name}.bootstrap.signed_by"
    if recipe.signed_by:
        return f"{recipe.signed_by} lacks the key; name the keyring of the mirror in {where}"
    if recipe.keyring.exists():
        return f"{recipe.keyring} lacks the key; name the keyring of the mirror in {where}"
    tool = {"debian": Tool.DEBIAN_KEYRING, "ubuntu": Tool.UBUNTU_KEYRING}[recipe.distribution]
    command = install_command(tool, _os_release())
    install = f"install {tool}" if command is None else f"run `{command}` as root"
    return f"there is no {recipe.keyring}: {install}, or name a keyring in {where}"


def _os_release() -> str:
    try:
        return _OS_RELEASE.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _lacks_mmdebstrap(recipe: Recipe) -> ImageError:
    command = install_command(Tool.MMDEBSTRAP, _os_release())
    return ImageError(
        f"image '{recipe.name}' for {recipe.platform} cannot be made: this host has no mmdebstrap",
        hint="install mmdebstrap" if command is None else f"run `{command}` as root",
    )
