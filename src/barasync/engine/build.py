"""From an image and the steps on top of it to the image with all of them, for one platform."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.from_thread import check_cancelled

from barasync.aiopodman import ContainerSpec, NotFound, Podman, Rlimit
from barasync.config.schema import STEP_SECONDS
from barasync.engine.gate import Gates
from barasync.engine.layers import making_layer
from barasync.engine.once import Once
from barasync.engine.step_container import Draft, Removals, removing
from barasync.engine.step_copy import send_copy
from barasync.engine.step_log import StepLog
from barasync.engine.step_run import StepExecution, TimeLimit, execute, spec_of
from barasync.engine.step_words import explained, left_out
from barasync.engine.usage import RunCgroup
from barasync.images.cache import REPOSITORY, StepCache, replaced_tag, step_key
from barasync.images.failures import ImageGone
from barasync.images.listing import Listing
from barasync.images.steps import (
    CopyStep,
    PackagesStep,
    ProjectStep,
    RunStep,
    SettingsStep,
    Step,
    changes_of,
    text_of,
    title_of,
)
from barasync.matrix.platforms import Platform, short_name
from barasync.workspace.archive import made_ahead, stream
from barasync.workspace.pick import Picked, pick
from barasync.workspace.tree import Tree

_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def _say_nothing(_name: str, _platform: Platform, _line: str) -> None:
    """Have nobody hear of it."""


async def _no_cgroup(_build: str) -> None:
    """Leave it to podman."""


async def _hold_nothing(_image: str) -> None:
    """Leave it to be pruned."""


async def _ready() -> tuple[Rlimit, ...]:
    """Need nothing: the service's defaults will do."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """What all images of a build share.

    `project` is the directory that copies are from, `tree` gives its files, always the same ones.
    `labels` are those of the containers, by which `barasync clean` finds them, `maker` those of the
    images. `logs` is the directory of `NAME-ARCH.log`, and `locks` that of the files by which
    processes wait for each other. `processors` bounds how many steps execute something at once.
    `ready` is awaited before anything is made: what it raises is why nothing can be, and it returns
    the limits that containers need.

    `on_progress` hears a line for a person at every step, `on_output` every line of what a step
    prints, shortened, and of what podman says of a pull; both with the image's name and platform.
    Without `cache` every step is made anew, once. `proxies` are variables for what is executed with
    a network. `hold` keeps an image from being pruned while this run or build lives. `cgroup_of`
    gives the cgroup of what podman's builder is to execute for one image, `None` where it cannot be
    seen from here. `called` is what people call a declared image, where that is not its name.
    """

    podman: Podman
    project: Path
    tree: Callable[[], Awaitable[Tree]]
    labels: Mapping[str, str]
    maker: Mapping[str, str]
    logs: Path
    locks: Path
    processors: anyio.CapacityLimiter
    ready: Callable[[], Awaitable[tuple[Rlimit, ...]]] = _ready
    on_progress: Callable[[str, Platform, str], None] = _say_nothing
    on_output: Callable[[str, Platform, str], None] | None = None
    cache: bool = True
    proxies: Mapping[str, str] = field(default_factory=dict)
    hold: Callable[[str], Awaitable[None]] = _hold_nothing
    cgroup_of: Callable[[str], Awaitable[RunCgroup | None]] = _no_cgroup
    called: Mapping[str, str] = field(default_factory=dict)
    gates: Gates = field(default_factory=Gates)
    hurry: anyio.Event = field(default_factory=anyio.Event)

    def place(self, name: str, platform: Platform) -> str:
        """Name the image in messages."""
        return f"image '{self.called.get(name, name)}' for {platform}"

    def hearer_of(self, name: str, platform: Platform) -> Callable[[str], None] | None:
        """Return who hears the lines of one image, if anybody does."""
        return None if self.on_output is None else partial(self.on_output, name, platform)

    def log_of(self, name: str, platform: Platform) -> StepLog:
        """Return the log of an image, which whoever enters it closes."""
        plain = _NOT_IN_A_FILE_NAME.sub("-", self.called.get(name, name))
        path = self.logs / f"{plain}-{short_name(platform)}.log"
        return StepLog(path, self.hearer_of(name, platform))


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that has all steps: its ID, the key that tells it from others, and what it took.

    `executed` is how many steps were not found. `log` is where their output is, if there was any.
    """

    id: str
    key: str
    executed: int
    log: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """One step that is to be laid on an image: what it copies, and how it is called."""

    step: Step
    title: str
    parent: str
    key: str
    content: Picked | Tree | None
    where: str
    log: StepLog
    removals: Removals
    limit: TimeLimit
    notice: Callable[[str], None]


class Builder:
    """Makes images of steps; each step is found or made once, whatever images it is part of.

    `listing` is what the service had when something was looked for first.
    """

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        self.listing = Listing(context.podman)
        self._cache = StepCache(context.podman, self.listing)
        self._picked: Once[str, Picked] = Once(self._pick)
        self._made: dict[str, str] = {}
        self._locks: dict[str, anyio.Lock] = {}
        self._execution = StepExecution(
            podman=context.podman,
            gate=context.gates.start,
            hurry=context.hurry,
        )

    async def build(
        self,
        name: str,
        parent: str,
        steps: Sequence[Step],
        platform: Platform,
        *,
        step_seconds: float | None = STEP_SECONDS,
    ) -> Built:
        """Return the image that `steps` make of the image with the ID `parent`.

        `name` is what people call it, `step_seconds` how long one of them may be executed, `None`
        for no limit. May be called for many images at once. Steps that were made stay for the next
        build, whatever comes after them.

        When cancelled, the container of the step is killed and removed before this returns. A
        commit that was asked for is waited for, so that no image is without a name.

        Raises:
            ImageGone: `parent`, or a step that was found, has been removed: a builder that does not
                know of it makes it anew.
            ImageError: a step fails, or podman refuses one.
            ConfigError: what is to be copied cannot be read, or is not in the project.
            EngineUnavailable: podman does not answer.
        """
        context = self._context
        tell = partial(context.on_progress, name, platform)
        image, key, executed = parent, parent, 0
        async with (
            context.log_of(name, platform) as log,
            removing(context.gates.remove, tell) as removals,
        ):
            for number, step in enumerate(steps, 1):
                where = f"step {number}/{len(steps)}"
                title = f"{where} {title_of(step)}"
                content = await self._content(step)
                if content is not None and content.skipped:
                    tell(left_out(title_of(step), content.skipped))
                key = step_key(image, text_of(step), _digest(content))
                found = await self._found(key, f"{context.place(name, platform)}: {title}")
                if found is not None:
                    tell(f"{title}: cached")
                    image = found
                    continue
                making = _Making(
                    step=step,
                    title=title,
                    parent=image,
                    key=key,
                    content=content,
                    where=f"{context.place(name, platform)}: {title}",
                    log=log,
                    removals=removals,
                    limit=TimeLimit(context.called.get(name, name), step_seconds),
                    notice=tell,
                )
                began = anyio.current_time()
                image, is_new = await self._made_alone(making)
                executed += is_new
                took = f"{anyio.current_time() - began:.1f} s" if is_new else "made meanwhile"
                tell(f"{where}: {took}")
        if log.problem is not None:
            tell(f"the log {log.path} is not complete: {log.problem.strerror}")
        return Built(id=image, key=key, executed=executed, log=log.path if log.exists else None)

    async def find(self, parent: str, steps: Sequence[Step]) -> str | None:
        """Return the image that `steps` make of `parent`, if all were made before.

        Raises:
            PodmanError: podman does not tell.
            ConfigError: as for `build`.
        """
        image = parent
        for step in steps:
            key = step_key(image, text_of(step), _digest(await self._content(step)))
            found = self._made.get(key) or await self._cache.find(key)
            if found is None:
                return None
            image = found
        return image

    async def has_name(self, image: str, name: str) -> bool:
        """Tell whether an image of steps that was found has a name.

        Raises:
            PodmanError: podman does not tell.
        """
        return await self._cache.has_name(image, name)

    async def _found(self, key: str, where: str) -> str | None:
        """Return the image of a step that need not be made."""
        if key in self._made or not self._context.cache:
            return self._made.get(key)
        with explained(where, "looking for it"):
            return await self._cache.find(key)

    async def _made_alone(self, making: _Making) -> tuple[str, bool]:
        """Return the step's image, and whether it was made here: nobody else makes it meanwhile."""
        context = self._context
        # What was found is only as safe as what is made from it. Whether it is still there is seen
        # when that is made.
        await context.hold(making.parent)
        lock = self._locks.setdefault(making.key, anyio.Lock())
        if lock.locked():
            making.removals.start()

        def waits() -> None:
            making.removals.start()
            making.notice(f"{making.title}: waits for who makes it now")

        async with AsyncExitStack() as stack:
            await stack.enter_async_context(lock)
            alone = making_layer(context.locks, making.key, on_wait=waits)
            await stack.enter_async_context(alone)
            if making.key in self._made:
                return self._made[making.key], False
            with explained(making.where, "looking for it"):
                before = await self._cache.look_again(making.key)
            if before is not None and context.cache:
                return before, False
            making.notice(making.title)
            image = await self._make(making, before)
            self._cache.add(making.key, image)
            self._made[making.key] = image
            return image, True

    async def _make(self, making: _Making, before: str | None) -> str:
        context = self._context
        rlimits = await context.ready()
        with explained(making.where, "looking at the image below"):
            try:
                parent = await context.podman.images.inspect(making.parent)
            except NotFound as error:
                raise ImageGone(making.where, making.parent) from error
        draft = Draft(
            podman=context.podman,
            parent=parent,
            key=making.key,
            labels=context.labels,
            maker=context.maker,
            gates=context.gates,
            removals=making.removals,
            where=making.where,
        )
        if before is not None:
            # It would have no name any more: those that were made of it are still there.
            with explained(making.where, "renaming what it was before"):
                async with context.gates.images:
                    tag = replaced_tag(making.key, before)
                    await context.podman.images.tag(before, REPOSITORY, tag)
        match making.step:
            case RunStep() | PackagesStep() as step:
                spec = spec_of(
                    step, draft, limit=making.limit, rlimits=rlimits, proxies=context.proxies
                )
                return await self._executed(spec, making, draft)
            case SettingsStep() as step:
                return await _set(step, draft)
            case CopyStep() | ProjectStep() as step:
                return await _copied(step, making, draft)

    async def _executed(self, spec: ContainerSpec, making: _Making, draft: Draft) -> str:
        async with AsyncExitStack() as stack:
            async with self._context.processors:
                await making.log.begin(making.title)
                container = await stack.enter_async_context(draft.container(spec))
                await execute(
                    container,
                    making.log,
                    self._execution,
                    limit=making.limit,
                    where=making.where,
                    notice=making.notice,
                    on_start=making.removals.start,
                )
            return await draft.commit(container, spec)

    async def _content(self, step: Step) -> Picked | Tree | None:
        match step:
            case CopyStep():
                return await self._picked.get(step.source)
            case ProjectStep():
                return await self._context.tree()
            case _:
                return None

    async def _pick(self, source: str) -> Picked:
        # The thread cannot be left behind: it would be waited for when the interpreter ends.
        read = partial(pick, self._context.project, source, checkpoint=check_cancelled)
        return await to_thread.run_sync(read)


def _digest(content: Picked | Tree | None) -> str:
    match content:
        case None:
            return ""
        case Picked():
            return content.digest
        case Tree():
            return content.key


async def _set(step: SettingsStep, draft: Draft) -> str:
    spec = draft.never_started()
    async with draft.container(spec) as container:
        return await draft.commit(container, spec, changes_of(step, literal=draft.literal))


async def _copied(step: CopyStep | ProjectStep, making: _Making, draft: Draft) -> str:
    """Copy into a container that never runs: no emulator is needed.

    The files of a copy belong to root, those of the project to the image's user, as in the
    workspace layer.
    """
    spec = draft.never_started()
    if isinstance(step, CopyStep):
        spec = draft.as_root(spec)
    async with draft.container(spec) as container:
        with explained(making.where, "sending the files"):
            match making.content:
                case Picked() as picked:
                    assert isinstance(step, CopyStep), "only a copy picks files"
                    await send_copy(container, step, picked, making.where)
                case Tree() as tree:
                    async with made_ahead(stream(tree)) as pieces:
                        await container.put_archive("/", pieces)
        return await draft.commit(container, spec, changes_of(step, literal=draft.literal))
