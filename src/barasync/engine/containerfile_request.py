"""One request to podman's builder: heard until its end, given up in time, and cleared up after."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import anyio
from anyio import to_thread

from barasync.aiopodman import (
    BuildSpec,
    Chunk,
    ImageSummary,
    NotFound,
    Podman,
    PodmanError,
    ServerError,
    Stream,
    TransportError,
)
from barasync.engine.build_output import BuildOutput, Cached, Event, Printed, Step
from barasync.engine.build_processes import heard_out, kill
from barasync.engine.containerfile_context import Source, archive
from barasync.engine.reaper import remove_cgroup
from barasync.engine.step_log import StepLog
from barasync.engine.step_run import KILLED, TimeLimit, failed
from barasync.engine.step_words import explained, hint_of
from barasync.engine.usage import RunCgroup
from barasync.errors import ImageError
from barasync.images.fit import platform_of
from barasync.images.ours import CONTAINERFILE, KIND_LABEL, PREFIX
from barasync.images.progress import Progress
from barasync.images.registry import Registries, fell_silent
from barasync.matrix.platforms import Platform
from barasync.terminal_text import one_line
from barasync.workspace.archive import made_ahead

MARK = "barasync.build"
"""The annotation by which a build knows its images from those of others."""

_STAGE = f"{PREFIX}step"
_NO_BASE = "scratch"
_AT_STEP = re.compile(r'building at STEP "(?P<text>.*)": (?P<reason>.*)', re.DOTALL)
_STATUS = re.compile(r"(?:while running runtime: )?exit status (?P<code>\d+)")
# Where podman has unpacked the context.
_UNPACKED = re.compile(r"/\S*/libpod_builder\d+/build/?")
# What the builder has made of an instruction that it does not know, in Go's words.
_PARSED = re.compile(r"\s*&imagebuilder\.Step\{.*", re.DOTALL)
# What podman says before it asks a registry (measured on 4.3.1 and 5.4.2).
_PULLS = "Trying to pull "
_TITLE_LENGTH = 60
_GIVEN_UP = "was given up; podman goes on with it until it ends"
# Podman ends the step that it is at when its client leaves, which may be soon.
_KILL_SECONDS = 2.0
_CLEAR_SECONDS = 10.0
_CLEAR_PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)


class ContainerfileRequest:
    """One request to podman's builder, and what is known of it meanwhile.

    `executed` is how many steps were not taken from podman's cache, and `may_be_of_another` whether
    one may have been that was made for another platform. `where` begins messages, `tell` hears of
    every step.
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
        registries: Registries,
    ) -> None:
        self.executed = 0
        self.may_be_of_another = False
        self.where = where
        self.tell = tell
        self._podman = podman
        self._source = source
        self._log = log
        self._registries = registries
        self._spec = spec
        self._cgroup = cgroup
        self._limit = limit
        self._patience = anyio.CancelScope()
        self._step = ""
        self._is_at_base = False
        self._transfer: Progress | None = None
        self._output = BuildOutput()

    async def run(self) -> str:
        """Build; return the image's ID, once no other image of it is without a name or a child.

        What a build that fails, takes too long or is cancelled has made is removed, as far as that
        takes ten seconds.

        Raises:
            ImageError: a step fails or takes too long, podman refuses it, or the registry of a base
                falls silent.
            EngineUnavailable: podman does not answer.
        """
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
        if self._transfer is not None:
            raise fell_silent(self._at_step, "its registry", self._registries, self._transfer)
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
                    self._spec, pieces, tls_verify=self._registries.tls_verify, on_output=self._take
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
                self._step = one_line(event.title, most=_TITLE_LENGTH)
                self.executed += not event.is_base
                if event.is_base and _NO_BASE in event.title.split():
                    self.may_be_of_another = self._spec.cache
                self._is_at_base, self._transfer = event.is_base, None
                self._begin_to_wait()
                self.tell(self._step)
                await self._log.begin(self._step)
            case Cached():
                self.executed -= 1
                self.may_be_of_another = self._spec.cache
                self.tell(f"{self._step}: cached")
            case Printed():
                self._hear_of_base(event.text)
                await self._log.write(Chunk(Stream.STDOUT, event.text.encode()))

    def _hear_of_base(self, text: str) -> None:
        if self._is_at_base and text.startswith(_PULLS):
            self._transfer = Progress()
        if self._transfer is not None:
            self._transfer.hear(text)
            self._begin_to_wait()

    def _begin_to_wait(self) -> None:
        """Give a step its time, and the transfer of a base that of its next line."""
        seconds = None if self._is_at_base else self._limit.seconds
        if self._transfer is not None:
            seconds = self._registries.silence(self._transfer)
        self._patience.deadline = math.inf if seconds is None else anyio.current_time() + seconds

    async def _end_output(self) -> None:
        for event in self._output.end():
            await self._hear(event)
        self._log.end()

    def _failed(self, cause: str) -> ImageError:
        """Return what to raise for podman's words on the end of a build."""
        cause = one_line(_PARSED.sub("", _UNPACKED.sub("", cause)))
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
        return found.annotations.get(MARK) == self._spec.annotations[MARK]
