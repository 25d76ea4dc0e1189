"""From a Containerfile of the project to an image, by podman's own builder.

Podman keeps the images of the steps as a cache, without names, and takes them again where the
instruction and the copied files are the same, whatever network they had: what is to be built
without one takes none of them. (Measured on podman 4.3.1 and 5.4.2.)
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import anyio
from anyio import to_thread

from barasync.aiopodman import (
    BuildSpec,
    Chunk,
    ImageSummary,
    NotFound,
    Podman,
    PodmanError,
    PullPolicy,
    ServerError,
    Stream,
    TransportError,
)
from barasync.config.schema import ImageNetwork, ImageTable
from barasync.engine.build import BuildContext, Built
from barasync.engine.build_output import BuildOutput, Cached, Event, Printed, Step
from barasync.engine.build_processes import heard_out, kill, parent_of
from barasync.engine.containerfile_bases import BASES, Bases
from barasync.engine.containerfile_context import Source, archive, read_source
from barasync.engine.layers import making_layer
from barasync.engine.reaper import remove_cgroup
from barasync.engine.step_log import StepLog
from barasync.engine.step_run import KILLED, TimeLimit, failed
from barasync.engine.step_words import explained, hint_of, left_out, printable
from barasync.engine.usage import RunCgroup
from barasync.errors import ImageError
from barasync.images.containerfile_bases import bases_of
from barasync.images.failures import WrongPlatform
from barasync.images.fit import fits, platform_of
from barasync.images.freshness import Freshness
from barasync.images.ours import CONTAINERFILE, KIND_LABEL, PREFIX
from barasync.matrix.platforms import Platform, short_name
from barasync.workspace.archive import made_ahead

_POLICIES: Mapping[Freshness, PullPolicy] = {
    Freshness.ALWAYS: "always",
    Freshness.MISSING: "missing",
    Freshness.NEVER: "never",
}
_DIGITS = 12
_MARK = "barasync.build"
_MARK_BYTES = 16
_STAGE = f"{PREFIX}step"
_NO_BASE = "scratch"
_AT_STEP = re.compile(r'building at STEP "(?P<text>.*)": (?P<reason>.*)', re.DOTALL)
_STATUS = re.compile(r"(?:while running runtime: )?exit status (?P<code>\d+)")
# Where podman has unpacked the context.
_UNPACKED = re.compile(r"/\S*/libpod_builder\d+/build/?")
# What the builder has made of an instruction that it does not know, in Go's words.
_PARSED = re.compile(r"\s*&imagebuilder\.Step\{.*", re.DOTALL)
_TITLE_LENGTH = 60
_GIVEN_UP = "was given up; podman goes on with it until it ends"
# Podman ends the step that it is at when its client leaves, which may be soon.
_KILL_SECONDS = 2.0
_CLEAR_SECONDS = 10.0
_CLEAR_PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)


async def build_containerfile(
    context: BuildContext,
    name: str,
    table: ImageTable,
    platform: Platform,
    *,
    bases: Bases,
    pull: Freshness = Freshness.MISSING,
    tls_verify: bool | None = None,
) -> Built:
    """Return the image that the Containerfile of the declared image `name` makes for `platform`.

    It is named `localhost/barasync/NAME:ARCH-KEY`; the key stands for the Containerfile, the files
    that it sees, and the platform. One that was made of the same, and of what the names in it
    stand for among `bases`, is used again, unless `context.cache` is false or `pull` is `always`.
    Steps whose files have not changed are podman's to skip. `pull` and `tls_verify` are for bases
    that only podman's builder knows, which it pulls as it would by itself.

    What a failed build has made is removed. When cancelled as well: what is executed is killed
    where its cgroup can be seen (`context.cgroup_of`), and podman removes its containers. Where it
    cannot, that comes when the step has ended, if the service lives that long, and images that are
    made after ten seconds stay.

    Raises:
        ConfigError: the Containerfile or its context is not there, or cannot be read.
        WrongPlatform: the Containerfile makes an image for another platform.
        ImageError: a step of it fails, or podman refuses one.
        EngineUnavailable: podman does not answer.
    """
    where = f"image '{name}' for {platform}"
    tell = partial(context.on_progress, name, platform)
    source = await read_source(context.project, context.tree, name, table)
    if source.tree.skipped:
        tell(left_out(source.label, source.tree.skipped))
    key = source.key(platform)
    offline = table.network is ImageNetwork.NONE
    reference = _reference(name, platform, key)
    again = not context.cache or pull is Freshness.ALWAYS
    named = bases_of(source.text, platform)
    look = partial(_find, context.podman, reference, named, bases, where)
    found, is_current = await look()
    if found is not None and is_current and not again:
        tell(f"{source.label}: cached")
        return Built(id=found, key=key, executed=0, log=None)
    waits = partial(tell, f"{source.label}: waits for who builds it now")
    rlimits = await context.ready()
    made_of = await bases.begun(named)
    async with (
        making_layer(context.locks, key, on_wait=waits),
        context.processors,
        context.log_of(name, platform) as log,
    ):
        found, is_current = await look()
        if found is not None and is_current and not again:
            return Built(id=found, key=key, executed=0, log=None)
        cgroup = await context.cgroup_of(f"{name}-{short_name(platform)}")
        spec = BuildSpec(
            containerfile=source.containerfile,
            reference=reference,
            os=platform.os,
            architecture=platform.architecture,
            variant=platform.variant,
            labels={KIND_LABEL: CONTAINERFILE},
            annotations={
                **context.maker,
                _MARK: secrets.token_hex(_MARK_BYTES),
                BASES: made_of,
            },
            cgroup_parent=None if cgroup is None else parent_of(cgroup),
            offline=offline,
            arguments={} if offline else context.proxies,
            # What was known is here, and as new as it was to be.
            pull="missing" if pull is Freshness.ALWAYS and all(named) else _POLICIES[pull],
            # Podman's own cache knows nothing of networks.
            cache=context.cache and not offline,
            rlimits=rlimits,
        )

        def make(spec: BuildSpec) -> _Build:
            return _Build(
                context.podman,
                source=source,
                where=where,
                log=log,
                tell=tell,
                spec=spec,
                cgroup=cgroup,
                limit=TimeLimit(name, table.step_seconds),
                tls_verify=tls_verify,
            )

        image, executed = await _made_for(platform, spec, make, found)
        return Built(id=image, key=key, executed=executed, log=log.path if log.exists else None)


async def find_containerfile(
    context: BuildContext, name: str, table: ImageTable, platform: Platform, bases: Bases
) -> str | None:
    """Return the ID of what `build_containerfile` has made of the same files, if it is here.

    Raises:
        ConfigError: the Containerfile or its context is not there, or cannot be read.
        ImageError, EngineUnavailable: podman does not tell.
    """
    source = await read_source(context.project, context.tree, name, table)
    reference = _reference(name, platform, source.key(platform))
    named = bases_of(source.text, platform)
    where = f"image '{name}' for {platform}"
    found, is_current = await _find(context.podman, reference, named, bases, where)
    return found if is_current else None


def _reference(name: str, platform: Platform, key: str) -> str:
    return f"{PREFIX}{name}:{short_name(platform)}-{key[:_DIGITS]}"


async def _made_for(
    platform: Platform, spec: BuildSpec, make: Callable[[BuildSpec], _Build], before: str | None
) -> tuple[str, int]:
    """Return the image that is built for a platform, and how many steps were done for it.

    `before` is what had the image's name. Podman's cache takes what another platform's step on
    `scratch` has made, and the image is for that one then (measured on 4.3.1 and 5.4.2). Where
    nothing of it can be of the cache, the Containerfile itself says for which platform a base is.

    Raises:
        WrongPlatform: the Containerfile makes an image for another platform.
    """
    build = make(spec)
    image, executed = await build.run(), build.executed
    await build.keep_name(before)
    its = await build.platform_of(image)
    if not fits(its, platform) and build.may_be_of_another:
        await build.discard()
        build.tell(f"podman's cache has steps for {its}: building again without it")
        build = make(replace(spec, cache=False))
        image, executed = await build.run(), executed + build.executed
        its = await build.platform_of(image)
    if not fits(its, platform):
        await build.discard()
        raise WrongPlatform(
            f"{build.where}: the Containerfile makes an image for {its}",
            hint="leave `--platform` out of its FROM, or declare the image for that platform alone",
        )
    return image, executed


class _Build:
    """One request to podman's builder, and what is known of it meanwhile.

    `executed` is how many steps were not taken from podman's cache, and `may_be_of_another` whether
    one may have been that was made for another platform.
    """

    def __init__(
        self,
        podman: Podman,
        *,
        source: Source,
        where: str,
        log: StepLog,
        tell: Callable[[str], None],
        spec: BuildSpec,
        cgroup: RunCgroup | None,
        limit: TimeLimit,
        tls_verify: bool | None,
    ) -> None:
        self.executed = 0
        self.may_be_of_another = False
        self.where = where
        self.tell = tell
        self._podman = podman
        self._source = source
        self._log = log
        self._tls_verify = tls_verify
        self._spec = spec
        self._cgroup = cgroup
        self._limit = limit
        self._patience = anyio.CancelScope()
        self._step = ""
        self._output = BuildOutput()

    async def run(self) -> str:
        """Build; return the image's ID, once no other image of it is without a name or a child."""
        with explained(self.where, "looking for images"):
            before = {image.id for image in await self._podman.images.list(all=True)}
        self.tell(f"building {self._source.label}")
        try:
            with explained(self.where, f"building {self._source.label}"):
                image = await self._within_limit()
                await self._name_stages(image, before)
        except BaseException:
            with anyio.move_on_after(_CLEAR_SECONDS, shield=True):
                await self._clear(before)
            raise
        finally:
            if self._cgroup is not None:
                with anyio.CancelScope(shield=True):
                    await remove_cgroup(self._cgroup)
        return image

    async def _within_limit(self) -> str:
        with self._patience:
            return await heard_out(self._request, self._cgroup, seconds=_KILL_SECONDS)
        self._log.end()
        end = _GIVEN_UP if self._cgroup is None else KILLED
        raise self._limit.exceeded(f"{self._at_step}:", self._log, end=end)

    async def keep_name(self, before: str | None) -> None:
        """Name what had the name of the new image, which others may be made of."""
        if before is None:
            return
        with explained(self.where, "naming what it was before"):
            found = await self._podman.images.inspect(before)
            if not found.repo_tags:
                await self._podman.images.tag(before, _STAGE, before[:16])

    async def platform_of(self, image: str) -> Platform:
        """Return the platform that an image is for."""
        with explained(self.where, "looking at it"):
            made = await self._podman.images.inspect(image)
        return platform_of(made)

    async def discard(self) -> None:
        """Remove what has been built."""
        with explained(self.where, "removing it"):
            await self._podman.images.remove(self._spec.reference, missing_ok=True)

    async def _request(self) -> str:
        try:
            async with made_ahead(archive(self._source)) as pieces:
                image = await self._podman.builds.build(
                    self._spec, pieces, tls_verify=self._tls_verify, on_output=self._take
                )
        except ServerError as error:
            await self._end_output()
            if error.status != 200:  # noqa: PLR2004 HTTP's number
                raise
            raise self._failed(error.cause) from error
        except PodmanError:
            await self._end_output()
            raise
        await self._end_output()
        return image

    async def _take(self, text: str) -> None:
        for event in self._output.take(text):
            await self._hear(event)

    async def _hear(self, event: Event) -> None:
        match event:
            case Step():
                self._step = _shortened(event.title)
                self.executed += not event.is_base
                if event.is_base and _NO_BASE in event.title.split():
                    self.may_be_of_another = self._spec.cache
                self._begin_to_wait(for_base=event.is_base)
                self.tell(self._step)
                await self._log.begin(self._step)
            case Cached():
                self.executed -= 1
                self.may_be_of_another = self._spec.cache
                self.tell(f"{self._step}: cached")
            case Printed():
                await self._log.write(Chunk(Stream.STDOUT, event.text.encode()))

    def _begin_to_wait(self, *, for_base: bool) -> None:
        """Give a step its time; a base takes as long as its registry does."""
        seconds = None if for_base else self._limit.seconds
        self._patience.deadline = math.inf if seconds is None else anyio.current_time() + seconds

    async def _end_output(self) -> None:
        for event in self._output.end():
            await self._hear(event)
        self._log.end()

    def _failed(self, cause: str) -> ImageError:
        """Return what to raise for podman's words on the end of a build."""
        cause = printable(_PARSED.sub("", _UNPACKED.sub("", cause)).strip())
        found = _AT_STEP.fullmatch(cause)
        reason = cause if found is None else found["reason"]
        status = _STATUS.fullmatch(reason)
        if status is not None:
            ended = f"failed with exit code {status['code']}"
            return failed(f"{self._at_step}:", ended, self._log)
        return ImageError(f"{self._at_step}: {reason}", hint=hint_of(reason))

    @property
    def _at_step(self) -> str:
        return ": ".join(part for part in (self.where, self._source.label, self._step) if part)

    async def _name_stages(self, image: str, before: set[str]) -> None:
        """Name what stages have left that nothing is made from, so that it can be pruned."""
        for each in await self._left(before):
            if each.id != image:
                await self._podman.images.tag(each.id, _STAGE, each.id[:16])

    async def _clear(self, before: set[str]) -> None:
        """Remove what the build has made; not what somebody else has made something from."""
        for pause in _CLEAR_PAUSES:
            await anyio.sleep(pause)
            if self._cgroup is not None:
                await to_thread.run_sync(kill, self._cgroup)
            try:
                while left := await self._left(before):
                    for image in left:
                        await self._podman.images.remove(image.id, missing_ok=True)
            except TransportError:
                return
            except PodmanError:
                continue  # a container of a step that has not ended has it
            return

    async def _left(self, before: set[str]) -> list[ImageSummary]:
        """Return the images of this build that have neither a name nor a child."""
        found = await self._podman.images.list(all=True)
        parents = {image.parent_id for image in found}
        return [
            image
            for image in found
            if image.id not in before
            and not image.repo_tags
            and image.id not in parents
            and image.labels.get(KIND_LABEL) == CONTAINERFILE
            and await self._is_its_own(image.id)
        ]

    async def _is_its_own(self, image: str) -> bool:
        """Tell an image from what other builds make at the same time, whatever steps print."""
        try:
            found = await self._podman.images.inspect(image)
        except NotFound:
            return False
        return found.annotations.get(_MARK) == self._spec.annotations[_MARK]


async def _find(
    podman: Podman, reference: str, named: Sequence[str], bases: Bases, where: str
) -> tuple[str | None, bool]:
    """Return the image that has the name, and whether it is made of what its bases are now."""
    with explained(where, "looking for it"):
        try:
            found = await podman.images.inspect(reference)
        except NotFound:
            return None, False
    if found.labels.get(KIND_LABEL) != CONTAINERFILE:
        return None, False
    return found.id, not await bases.have_moved(named, found.annotations)


def _shortened(text: str) -> str:
    text = printable(text).replace("\n", " ")
    return text if len(text) <= _TITLE_LENGTH else f"{text[: _TITLE_LENGTH - 1]}…"
