"""The images of cells, by name and platform: found or made, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from anyio import to_thread

from barasync.aiopodman import ImageSummary, NotFound
from barasync.config.images import ancestry, chain
from barasync.config.origin import image_key
from barasync.config.schema import ImageTable
from barasync.engine.build import BuildContext, Builder, Built
from barasync.engine.containerfile_bases import Bases
from barasync.engine.once import Once
from barasync.errors import ConfigError, ImageError
from barasync.images.failures import ImageGone, WrongPlatform, explained
from barasync.images.freshness import Freshness
from barasync.images.registry import Registries, unheard
from barasync.images.resolve import ResolvedImage, resolve
from barasync.images.shell import check_shell
from barasync.images.steps import CopyStep, PackagesStep, RunStep, Step, steps_of
from barasync.matrix.platforms import Platform, short_name
from barasync.workspace.pick import look

ImageKey = tuple[str, Platform]
"""A declared name or a reference, and the platform that the image is to be for."""

TRIES = 3
"""How often what is removed as soon as it is found is looked for."""

_REPOSITORY = "localhost/barasync"
_DIGITS = 12


class ImageSource(Protocol):
    """Where a run has its images from; a `Once` is one."""

    async def get(self, key: ImageKey) -> str:
        """Return the ID of an image, made now if need be.

        Raises:
            BarasyncError: there is none, and none can be made.
        """

    def forget(self, key: ImageKey, value: str) -> None:
        """Look for the image anew the next time: the one of the ID `value` is gone."""


class Images:
    """The declared images of a project, and all that have a reference; an `ImageSource`.

    A declared image is made of the one that it begins with, which is made first where it is
    declared too. Whoever asks for what is being made waits for it. `registries` are how they are
    asked for references. `cache_dir` is where bootstrapped root file systems stay. `on_found`
    hears of every image that is here now. `check_elf` compares the shell of each with its platform.
    """

    def __init__(
        self,
        declared: Mapping[str, ImageTable],
        context: BuildContext,
        *,
        registries: Registries,
        cache_dir: Path,
        on_found: Callable[[ResolvedImage], None],
        check_elf: bool = False,
    ) -> None:
        self._declared = declared
        self._context = context
        self._registries = registries
        self._cache_dir = cache_dir
        self._on_found = on_found
        self._check_elf = check_elf
        self._builder = Builder(context)
        self._ids: dict[ImageKey, str] = {}
        self._executed = 0
        self._made: Once[ImageKey, str] = Once(lambda key: self._make(*key))

    async def get(self, key: ImageKey) -> str:
        """Return the ID of the image, for the platform of the key.

        A declared image that steps have made is named `localhost/barasync/NAME:ARCH-KEY`. When
        cancelled, no container is left; the steps that were done stay for the next time.

        Raises:
            WrongPlatform: there is such an image, for other platforms only.
            ImageError: there is none, and it cannot be made or pulled.
            ConfigError: the declared image's table cannot be meant.
            EngineUnavailable: podman does not answer.
        """
        return await self._made.get(key)

    async def find(self, key: ImageKey) -> str | None:
        """Return the ID of the image if it is here as it is declared now; make and pull nothing.

        Raises:
            EngineUnavailable: podman does not answer.
        """
        if key in self._ids:
            return self._ids[key]
        name, platform = key
        table = self._declared.get(name)
        try:
            if table is None:
                here = replace(self._registries, pull=Freshness.NEVER)
                found: str | None = (await self._ask(name, platform, here)).id
            else:
                found = await self._find(name, table, platform)
            if found is None:
                return None
            await self._context.hold(found)
            with explained(f"looking for {self._context.place(name, platform)}"):
                return found if await self._context.podman.images.exists(found) else None
        except (ConfigError, ImageError):
            return None  # it is not declared for that platform, or not to be found

    async def listed(self) -> Sequence[ImageSummary]:
        """Return what the service had, with a name, when something was looked for first.

        Raises:
            PodmanError: podman does not tell.
        """
        return await self._builder.listing.images()

    @property
    def made_something(self) -> bool:
        """Whether a step was made: the others were there."""
        return self._executed > 0

    def forget(self, key: ImageKey, value: str) -> None:
        """Find or make the image anew for the next who asks, unless that has been done.

        So are those that it was made of: they may be gone as well.
        """
        if self._ids.get(key) != value:
            return
        self._builder = Builder(self._context)
        name, platform = key
        for each in ancestry(name, self._declared):
            made = self._ids.pop((each, platform), None)
            if made is not None:
                self._made.forget((each, platform), made)

    async def _make(self, name: str, platform: Platform) -> str:
        table = self._declared.get(name)
        if table is None:
            found = await self._resolve(name, platform)
        else:
            found = ResolvedImage(await self._build(name, table, platform), name, platform)
        await self._context.hold(found.id)
        if self._check_elf:
            labels = self._context.labels
            await check_shell(self._context.podman, found.id, name, platform, labels=labels)
        self._ids[name, platform] = found.id
        self._on_found(found)
        return found.id

    async def _resolve(self, reference: str, platform: Platform) -> ResolvedImage:
        if self._registries.pull is Freshness.MISSING:
            with suppress(ImageError):
                here = replace(self._registries, pull=Freshness.NEVER)
                return await self._ask(reference, platform, here)
        await self._context.ready()
        return await self._ask(reference, platform, self._registries)

    async def _ask(
        self, reference: str, platform: Platform, registries: Registries
    ) -> ResolvedImage:
        return await resolve(
            self._context.podman,
            reference,
            platform,
            self._declared.keys() - self._context.called.keys(),
            registries,
            listing=self._builder.listing,
            on_progress=partial(self._context.on_progress, reference, platform),
            on_words=self._context.hearer_of(reference, platform) or unheard,
        )

    async def _find(self, name: str, table: ImageTable, platform: Platform) -> str | None:
        parent: str | None
        if isinstance(table.from_, str):
            parent = await self.find((table.from_, platform))
        else:
            # It takes 0.03 s to load, and images of other images do without.
            from barasync.engine.beginnings import find_beginning  # noqa: PLC0415 - as said

            parent = await find_beginning(
                self._context, name, table, platform, self._bases(platform)
            )
        if parent is None:
            return None
        with explained(f"looking for {self._context.place(name, platform)}"):
            return await self._builder.find(parent, steps_of(table))

    async def _build(self, name: str, table: ImageTable, platform: Platform) -> str:
        steps = steps_of(table)
        sources = [step.source for step in steps if isinstance(step, CopyStep)]
        if sources:
            # Before what it begins with is made, which may take hours.
            try:
                await to_thread.run_sync(look, self._context.project, sources)
            except ConfigError as error:
                where = image_key(self._context.called, name)
                raise ConfigError(f"{where}: {error}", hint=error.hint) from error
        if not steps:
            return await self._begin(name, table, platform)
        built = await self._laid(name, table, steps, platform)
        self._executed += built.executed
        repository, tag = f"{_REPOSITORY}/{name}", f"{short_name(platform)}-{built.key[:_DIGITS]}"
        # One that is gone meanwhile is made anew when it is used.
        with explained(f"naming {self._context.place(name, platform)}"), suppress(NotFound):
            # Another declared image may have made all of its steps.
            if built.executed or not await self._builder.has_name(built.id, f"{repository}:{tag}"):
                async with self._context.gates.images:
                    await self._context.podman.images.tag(built.id, repository, tag)
        return built.id

    async def _laid(
        self, name: str, table: ImageTable, steps: Sequence[Step], platform: Platform
    ) -> Built:
        """Lay steps on what an image begins with; make anew what is gone when it is needed."""
        limit = table.step_seconds
        for _ in range(TRIES - 1):
            parent = await self._begin(name, table, platform)
            try:
                return await self._builder.build(name, parent, steps, platform, step_seconds=limit)
            except ImageGone:
                said = "what it is made of was removed meanwhile; looking for it again"
                self._context.on_progress(name, platform, said)
            self._builder = Builder(self._context)
            if isinstance(table.from_, str):
                self.forget((table.from_, platform), parent)
        parent = await self._begin(name, table, platform)
        return await self._builder.build(name, parent, steps, platform, step_seconds=limit)

    async def _begin(self, name: str, table: ImageTable, platform: Platform) -> str:
        """Return the ID of what the steps of an image are laid on."""
        if isinstance(table.from_, str):
            try:
                return await self.get((table.from_, platform))
            except ImageError as error:
                if table.from_ in self._declared or isinstance(error, ImageGone):
                    raise
                kind = WrongPlatform if isinstance(error, WrongPlatform) else ImageError
                where = image_key(self._context.called, name, "from")
                raise kind(f"{where}: {error}", hint=error.hint) from error
        # It takes 0.03 s to load, and images of other images do without.
        from barasync.engine.beginnings import make_beginning  # noqa: PLC0415 - as said

        image, executed = await make_beginning(
            self._context,
            name,
            table,
            platform,
            bases=self._bases(platform),
            registries=self._registries,
            cache_dir=self._cache_dir,
        )
        self._executed += executed
        return image

    def _bases(self, platform: Platform) -> Bases:
        """Return how the references in a Containerfile are looked up, as any other."""
        return Bases(
            find=lambda reference: self.find((reference, platform)),
            get=lambda reference: self.get((reference, platform)),
            declared=self._declared,
        )


def executes(name: str, declared: Mapping[str, ImageTable]) -> bool:
    """Tell whether something is executed in a container to make an image: emulators are needed.

    Of a Containerfile it is assumed.
    """
    tables = [declared[each] for each in chain(name, declared)]
    return any(
        isinstance(table.containerfile, str)
        or any(isinstance(step, RunStep | PackagesStep) for step in steps_of(table))
        for table in tables
    )
