"""What `barasync image build` does: declared images for several platforms, named at the end."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import anyio
import typer
from anyio import to_thread

from barasync.aiopodman import Reference
from barasync.cli.connect import Reached, reach
from barasync.cli.declared import declared_images, read_once
from barasync.cli.directories import use_files
from barasync.cli.interrupts import Interrupts, finish
from barasync.cli.naming import Names
from barasync.cli.project import Project, refuse_a_whole_home
from barasync.config.cycles import refuse_own_base
from barasync.config.images import chain
from barasync.config.schema import ImageTable
from barasync.engine.identity import Identity
from barasync.engine.image_uses import Uses, using
from barasync.engine.images import TRIES, ImageKey, Images, executes
from barasync.errors import EXIT_OK
from barasync.images.failures import ImageGone
from barasync.images.registry import Registries
from barasync.images.tags import default_tag, tag_of
from barasync.matrix.platforms import Platform, short_name
from barasync.report.files import BuildDirectory
from barasync.workspace.tree import Tree

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What is to be built; the command line's side of it.

    `names` are declared in the project. Without `tags` each image gets the name that `default_tag`
    says; with `tag_each` the image of each architecture has one besides, which ends with that.
    `registries` are how they are asked for what images begin with. `jobs` is how many steps
    execute something at once, as many as the service's host has CPUs if `None`. With `verbose` what
    steps print is shown as well. `check_elf` compares the shells of images with their platforms.
    """

    project: Project
    names: tuple[str, ...]
    platforms: tuple[Platform, ...]
    tags: tuple[Reference, ...]
    cache: bool
    jobs: int | None
    url: str | None
    environ: Mapping[str, str]
    registries: Registries
    verbose: bool
    check_elf: bool
    tag_each: bool = False

    @property
    def tables(self) -> Mapping[str, ImageTable]:
        """All images that the project declares."""
        document = self.project.document
        assert document is not None, "the names are declared"
        return document.images

    def tags_of(self, name: str, tree: str | None = None) -> Mapping[Reference, Sequence[Platform]]:
        """Return the names that an image gets, and of which platforms each is.

        `tree` is the key of the project's files, where the image has them.

        Raises:
            ConfigError: one would be too long.
        """
        given: dict[Reference, Sequence[Platform]] = {}
        for tag in self.tags or (default_tag(name, tree),):
            given[tag] = self.platforms
            if self.tag_each:
                given |= {tag_of(tag, each): (each,) for each in self.platforms}
        return given

    @property
    def called(self) -> Mapping[str, str]:
        """What people call an image that is of the command line alone, by its name there."""
        return self.project.origin.called

    @property
    def has_project(self) -> bool:
        """Whether the project's files are in one of the images."""
        chains = (chain(name, self.tables) for name in self.names)
        return any(self.tables[each].project for made_of in chains for each in made_of)

    @property
    def executes(self) -> bool:
        """Whether something is executed in a container to make the images."""
        return any(executes(name, self.tables) for name in self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that was built: its ID for every platform, and the names that it has now."""

    name: str
    ids: Mapping[Platform, str]
    tags: tuple[str, ...]


def show_build(build: Build) -> NoReturn:
    """Build, with IDs and names on stdout and what happens on stderr, and end the command."""

    async def command(_interrupts: Interrupts) -> int:
        for built in await build_images(build, notify=partial(typer.echo, err=True)):
            name = build.called.get(built.name, built.name)
            for platform, image_id in built.ids.items():
                typer.echo(f"{name} {short_name(platform)} {image_id}")
            for tag in built.tags:
                typer.echo(f"{name} tag {tag}")
        return EXIT_OK

    finish(command)


async def build_images(build: Build, *, notify: Notify) -> tuple[Built, ...]:
    """Build every image for every platform at once, and name them; return them in order.

    `notify` hears lines for a person. The first that cannot be made ends the others. When
    cancelled, no container is left; the steps that were done stay for the next build.

    Raises:
        ConfigError: a tag is the name of what its image begins with.
        BarasyncError: one of them could not be made.
    """
    for name in build.names:
        # Whether the usual name is that of what it begins with was seen in the file.
        usual = {default_tag(name, None)} - set(build.tags)
        given = tuple(build.tags_of(name).keys() - usual)
        refuse_own_base(name, given, build.tables, called=build.called)
    if build.has_project:
        home = build.environ.get("HOME")
        await to_thread.run_sync(refuse_a_whole_home, build.project.directory, home)
    async with (
        reach(build.url, build.environ, notify=notify) as reached,
        _recorded(build.project.directory) as directory,
        using(use_files(), directory.build, clock=time.time) as uses,
    ):
        built = await _build(build, reached, directory, uses=uses, notify=notify)
        for problem in uses.problems:
            notify(f"note: {problem}")
    return built


@asynccontextmanager
async def _recorded(project: Path) -> AsyncIterator[BuildDirectory]:
    """Make a directory for the logs, which is left only where there are some."""
    create = partial(
        BuildDirectory.create, now=datetime.now().astimezone(), token=secrets.token_hex
    )
    directory = await to_thread.run_sync(create, project)
    try:
        yield directory
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(directory.remove_if_empty)


async def _build(
    build: Build,
    reached: Reached,
    directory: BuildDirectory,
    *,
    uses: Uses,
    notify: Notify,
) -> tuple[Built, ...]:
    def tell(name: str, platform: Platform, line: str) -> None:
        notify(f"{build.called.get(name, name)} {short_name(platform)}: {line}")

    def tell_output(name: str, platform: Platform, line: str) -> None:
        notify(f"{build.called.get(name, name)} {short_name(platform)} | {line}")

    identity = await to_thread.run_sync(Identity.current)
    tree = read_once(build.project.directory)
    images = declared_images(
        build.project,
        reached,
        identity,
        run=directory.build,
        environ=build.environ,
        registries=build.registries,
        logs=directory.path,
        hold=uses.hold,
        tree=tree,
        tell=tell,
        tell_output=tell_output if build.verbose else None,
        cache=build.cache,
        jobs=build.jobs,
        emulated=build.platforms if build.executes else (),
        check_elf=build.check_elf,
    )
    built = await _made_and_named(build, images, tree, Names(reached.podman, images, notify))
    if images.made_something:
        # It takes 0.03 s to load, and a build that finds everything does without.
        from barasync.cli.cleaning import prune_automatically  # noqa: PLC0415 - as said

        connection = await reached.look()
        problems = await prune_automatically(
            connection, identity, run=directory.build, now=time.time()
        )
        for problem in problems:
            notify(f"note: {problem}")
    return built


async def _made_and_named(
    build: Build, images: Images, tree: Callable[[], Awaitable[Tree]], names: Names
) -> tuple[Built, ...]:
    """Make the images and name them; again where one that was found is gone when it gets a name."""
    for _ in range(TRIES - 1):
        made = await _make(build, images)
        try:
            return await _named(build, made, tree, names)
        except ImageGone:
            for key, image in made.items():
                images.forget(key, image)
    return await _named(build, await _make(build, images), tree, names)


async def _named(
    build: Build,
    made: Mapping[ImageKey, str],
    tree: Callable[[], Awaitable[Tree]],
    names: Names,
) -> tuple[Built, ...]:
    built = []
    for name in build.names:
        ids = {platform: made[name, platform] for platform in build.platforms}
        key = (await tree()).key if build.tables[name].project else None
        tags = build.tags_of(name, key)
        for tag, platforms in tags.items():
            await names.give(name, tag, {each: ids[each] for each in platforms})
        built.append(Built(name=name, ids=ids, tags=tuple(map(str, tags))))
    return tuple(built)


async def _make(build: Build, images: Images) -> dict[ImageKey, str]:
    """Make all images at once; return their IDs."""
    made: dict[ImageKey, str] = {}

    async def make(key: ImageKey) -> None:
        made[key] = await images.get(key)

    async with anyio.create_task_group() as group:
        for name in build.names:
            for platform in build.platforms:
                group.start_soon(make, (name, platform))
    return made
