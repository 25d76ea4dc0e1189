"""From a Containerfile of the project to an image, by podman's own builder.

Podman keeps the images of the steps as a cache, without names, and takes them again where the
instruction and the copied files are the same, whatever network they had: what is to be built
without one takes none of them. (Measured on podman 4.3.1 and 5.4.2.)
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from barasync.aiopodman import BuildSpec, NotFound, PullPolicy, Rlimit
from barasync.config.origin import image_key
from barasync.config.schema import ImageNetwork, ImageTable
from barasync.engine.build import BuildContext, Built
from barasync.engine.build_processes import parent_of
from barasync.engine.containerfile_bases import BASES, Bases
from barasync.engine.containerfile_context import Source, read_source
from barasync.engine.containerfile_request import MARK, ContainerfileRequest
from barasync.engine.layers import making_layer
from barasync.engine.step_run import TimeLimit
from barasync.engine.step_words import explained, left_out
from barasync.engine.usage import RunCgroup
from barasync.images.containerfile_bases import bases_of
from barasync.images.failures import WrongPlatform
from barasync.images.fit import fits
from barasync.images.freshness import Freshness
from barasync.images.ours import CONTAINERFILE, KIND_LABEL, PREFIX
from barasync.images.registry import Registries
from barasync.matrix.platforms import Platform, short_name

_POLICIES: Mapping[Freshness, PullPolicy] = {
    Freshness.ALWAYS: "always",
    Freshness.MISSING: "missing",
    Freshness.NEVER: "never",
}
_DIGITS = 12
_MARK_BYTES = 16


async def build_containerfile(
    context: BuildContext,
    name: str,
    table: ImageTable,
    platform: Platform,
    *,
    bases: Bases,
    registries: Registries,
) -> Built:
    """Return the image that the Containerfile of the declared image `name` makes for `platform`.

    It is named `localhost/barasync/NAME:ARCH-KEY`; the key stands for the Containerfile, the files
    that it sees, and the platform. One that was made of the same, and of what the names in it
    stand for among `bases`, is used again, unless `context.cache` is false or `registries.pull` is
    `always`. Steps whose files have not changed are podman's to skip. Bases that only podman's
    builder knows it pulls as it would by itself, with `registries.pull` and `tls_verify`; it may
    say nothing of one for as long as of any transfer.

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
    wanted = await _wanted(context, name, table, platform, bases)
    source = wanted.source
    if source.tree.skipped:
        wanted.tell(left_out(source.label, source.tree.skipped))
    again = not context.cache or registries.pull is Freshness.ALWAYS
    found, is_current = await wanted.find()
    if found is not None and is_current and not again:
        wanted.tell(f"{source.label}: cached")
        return Built(id=found, key=wanted.key, executed=0, log=None)
    waits = partial(wanted.tell, f"{source.label}: waits for who builds it now")
    rlimits = await context.ready()
    made_of = await bases.begun(wanted.named)
    async with (
        making_layer(context.locks, wanted.key, on_wait=waits),
        context.processors,
        context.log_of(name, platform) as log,
    ):
        found, is_current = await wanted.find()
        if found is not None and is_current and not again:
            return Built(id=found, key=wanted.key, executed=0, log=None)
        cgroup = await context.cgroup_of(f"{name}-{short_name(platform)}")
        spec = wanted.spec(registries.pull, made_of=made_of, rlimits=rlimits, cgroup=cgroup)

        def make(spec: BuildSpec) -> ContainerfileRequest:
            return ContainerfileRequest(
                context.podman,
                source=source,
                where=wanted.where,
                log=log,
                tell=wanted.tell,
                spec=spec,
                cgroup=cgroup,
                limit=TimeLimit(context.called.get(name, name), table.step_seconds),
                registries=registries,
            )

        image, executed = await _made_for(platform, spec, make, found)
        made_log = log.path if log.exists else None
        return Built(id=image, key=wanted.key, executed=executed, log=made_log)


async def find_containerfile(
    context: BuildContext, name: str, table: ImageTable, platform: Platform, bases: Bases
) -> str | None:
    """Return the ID of what `build_containerfile` has made of the same files, if it is here.

    Raises:
        ConfigError: the Containerfile or its context is not there, or cannot be read.
        ImageError, EngineUnavailable: podman does not tell.
    """
    wanted = await _wanted(context, name, table, platform, bases)
    found, is_current = await wanted.find()
    return found if is_current else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """An image that a Containerfile makes for a platform, and where it would be if it were made.

    `named` are the names in it that stand for images.
    """

    context: BuildContext
    name: str
    table: ImageTable
    platform: Platform
    bases: Bases
    source: Source
    named: tuple[str, ...]
    key: str

    @property
    def where(self) -> str:
        return self.context.place(self.name, self.platform)

    @property
    def reference(self) -> str:
        return f"{PREFIX}{self.name}:{short_name(self.platform)}-{self.key[:_DIGITS]}"

    def tell(self, line: str) -> None:
        self.context.on_progress(self.name, self.platform, line)

    async def find(self) -> tuple[str | None, bool]:
        """Return the image that has the name, and whether it is made of what its bases are now."""
        with explained(self.where, "looking for it"):
            try:
                found = await self.context.podman.images.inspect(self.reference)
            except NotFound:
                return None, False
        if found.labels.get(KIND_LABEL) != CONTAINERFILE:
            return None, False
        return found.id, not await self.bases.have_moved(self.named, found.annotations)

    def spec(
        self,
        pull: Freshness,
        *,
        made_of: str,
        rlimits: Sequence[Rlimit],
        cgroup: RunCgroup | None,
    ) -> BuildSpec:
        """Return what podman's builder is asked for; `made_of` is what `named` stand for."""
        context, platform = self.context, self.platform
        offline = self.table.network is ImageNetwork.NONE
        return BuildSpec(
            containerfile=self.source.containerfile,
            reference=self.reference,
            os=platform.os,
            architecture=platform.architecture,
            variant=platform.variant,
            labels={KIND_LABEL: CONTAINERFILE},
            annotations={
                **context.maker,
                MARK: secrets.token_hex(_MARK_BYTES),
                BASES: made_of,
            },
            cgroup_parent=None if cgroup is None else parent_of(cgroup),
            offline=offline,
            arguments={} if offline else context.proxies,
            # What was known is here, and as new as it was to be.
            pull="missing" if pull is Freshness.ALWAYS and all(self.named) else _POLICIES[pull],
            # Podman's own cache knows nothing of networks.
            cache=context.cache and not offline,
            rlimits=rlimits,
        )


async def _wanted(
    context: BuildContext, name: str, table: ImageTable, platform: Platform, bases: Bases
) -> _Wanted:
    place = partial(image_key, context.called, name)
    source = await read_source(context.project, context.tree, place, table)
    return _Wanted(
        context=context,
        name=name,
        table=table,
        platform=platform,
        bases=bases,
        source=source,
        named=bases_of(source.text, platform),
        key=source.key(platform),
    )


async def _made_for(
    platform: Platform,
    spec: BuildSpec,
    make: Callable[[BuildSpec], ContainerfileRequest],
    before: str | None,
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
