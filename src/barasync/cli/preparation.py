"""What a run needs before its cells: the files of this host, and a machine that can run them.

Images and layers are made when the first cell asks for them; `preparation` says how.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anyio import to_thread
from anyio.from_thread import check_cancelled

from barasync.aiopodman import Podman
from barasync.cli.connect import Connection, Reached
from barasync.cli.declared import declared_images, read_once, read_tree
from barasync.cli.directories import cache_directory, lock_directory
from barasync.cli.project import Project, is_executable, refuse_a_whole_home
from barasync.cli.sharing import require_shared
from barasync.config.caches import parse_cache
from barasync.config.copies import Copy
from barasync.config.schema import CellSettings, WorkspaceMode
from barasync.config.volumes import parse_volume
from barasync.engine.caches import Caches
from barasync.engine.identity import Identity, start_time
from barasync.engine.image_uses import Uses
from barasync.engine.layers import making_layer
from barasync.engine.turn import Preparation
from barasync.errors import ConfigError
from barasync.events import ImageProgress, ImageResolved
from barasync.images.programs import Programs
from barasync.images.registry import Registries
from barasync.images.resolve import ResolvedImage
from barasync.masking.masker import Masker
from barasync.matrix.command import BAR, mounted_workspace
from barasync.matrix.plan import Plan
from barasync.matrix.platforms import Platform, parse
from barasync.report.recorder import Recorder
from barasync.workspace.copies import CopySource, read_copies
from barasync.workspace.destinations import mounted_in, refuse_covered
from barasync.workspace.hidden import hidden_file
from barasync.workspace.layer import ensure_layer, layer_key
from barasync.workspace.source import Source
from barasync.workspace.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What of this host goes into cells: the project's files for a layer, and copies."""

    source: Source | None
    copies: tuple[CopySource, ...]


async def read_files(
    plan: Plan,
    project: Project,
    copies: Sequence[Copy],
    *,
    home: str | None,
    notify: Callable[[str], None],
) -> Files:
    """Read what is to go into cells; `notify` hears of what is left out, `home` is the user's.

    Raises:
        ConfigError: something cannot be read, or has no place in a cell.
    """
    source = await _source(plan, project.directory, home)
    if source is not None:
        look_at_hidden(plan, source.tree, notify)
    return Files(source=source, copies=await _copies(plan, copies, notify))


async def require_shared_directory(plan: Plan, directory: Path, connection: Connection) -> None:
    """Refuse a workspace that the machine of the service does not see where it is here.

    Raises:
        ConfigError: as `require_shared`.
    """
    for mode in sorted(mode for mode in _modes(plan) if mode.shares_directory):
        check = partial(require_shared, mode=mode)
        await to_thread.run_sync(check, connection, directory)


def preparation(
    project: Project,
    connection: Connection,
    recorder: Recorder,
    source: Source | None,
    identity: Identity,
    *,
    environ: Mapping[str, str],
    registries: Registries,
    masker: Masker,
    uses: Uses,
    check_elf: bool,
) -> Preparation:
    """Return how images and layers are made, when the first cell asks for each.

    `environ` names proxies, `registries` are how they are asked for images. What is found or made
    is held by `uses`.
    `check_elf` compares the shells of images with their platforms.
    """
    labels = identity.labels(recorder.run)
    told = _Told(recorder, masker)
    reads = read_once(project.directory)

    async def tree() -> Tree:
        return await reads() if source is None else source.tree

    async def look() -> Connection:
        return connection

    return Preparation(
        images=declared_images(
            project,
            Reached(podman=connection.podman, look=look),
            identity,
            run=recorder.run,
            environ=environ,
            registries=registries,
            logs=recorder.images,
            hold=uses.hold,
            tree=tree,
            tell=told.progress,
            on_found=told.found,
            check_elf=check_elf,
        ),
        native=parse(connection.host.arch),
        workspace=partial(
            _layer,
            source=source,
            podman=connection.podman,
            identity=identity,
            uses=uses,
            told=told,
        ),
        caches=Caches(
            connection.podman,
            lock_directory(),
            labels=labels,
            rlimits=connection.rlimits,
            judge=partial(identity.judge, start_of=start_time),
        ),
        programs=Programs(connection.podman, cache_directory() / "programs.json", labels=labels),
        has_bar=partial(_has_bar, project, source),
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What is said of images, in the record of a run."""

    recorder: Recorder
    masker: Masker

    def progress(self, image: str, platform: Platform, message: str) -> None:
        self.recorder.emit(
            ImageProgress(
                at=time.time(),
                image=image,
                platform=str(platform),
                message=self.masker.text(message),
            )
        )

    def found(self, image: ResolvedImage) -> None:
        self.recorder.emit(
            ImageResolved(
                at=time.time(),
                image=image.reference,
                platform=str(image.platform),
                id=image.id,
                digest=image.digest,
                list_digest=image.list_digest,
                digests=image.digests,
            )
        )


async def _layer(
    image_id: str,
    platform: Platform,
    *,
    source: Source | None,
    podman: Podman,
    identity: Identity,
    uses: Uses,
    told: _Told,
) -> str:
    """Return the image that has the project's files over another, made where it is not there."""
    assert source is not None, "the files are read when a cell wants them in a layer"
    run = told.recorder.run

    async def alone(tree: Tree) -> str:
        waits = partial(
            told.progress, image_id, platform, "waits for a workspace layer that is being made"
        )
        async with making_layer(lock_directory(), layer_key(image_id, tree), on_wait=waits):
            return await ensure_layer(
                podman,
                image_id=image_id,
                platform=platform,
                tree=tree,
                labels=identity.labels(run),
                maker=identity.maker_labels(run),
            )

    layer = await source.layer(alone)
    await uses.hold(layer)
    return layer


def _has_bar(project: Project, source: Source | None, settings: CellSettings) -> bool:
    """Tell whether there is a `bar` in what a cell has in `/workspace`, as far as that is known."""
    if settings.workspace is WorkspaceMode.NONE:
        mounted = mounted_workspace(settings)
        return mounted is not None and is_executable(Path(mounted, BAR))
    if source is None or settings.workspace.shares_directory:
        return project.has_executable(BAR)
    return source.tree.has_executable(BAR)


async def _source(plan: Plan, directory: Path, home: str | None) -> Source | None:
    """Read the project's files, if a cell wants them in a layer."""
    modes = _modes(plan)
    if modes != {WorkspaceMode.NONE}:
        await to_thread.run_sync(refuse_a_whole_home, directory, home)
    if WorkspaceMode.LAYER not in modes:
        return None

    read = partial(read_tree, directory)
    return Source(await read(), read)


def look_at_hidden(plan: Plan, tree: Tree, notify: Callable[[str], None]) -> None:
    """Refuse a cache over files of the project, which would stay as they once were; tell of others.

    A volume is there for what is in it.

    Raises:
        ConfigError: a cell has a cache over a file of `tree`.
    """
    looked_at: set[tuple[str, bool]] = set()
    for cell in plan.cells:
        if cell.settings.workspace is not WorkspaceMode.LAYER:
            continue
        places = [(parse_volume(volume).destination, False) for volume in cell.settings.volumes]
        places += [(parse_cache(cache).destination, True) for cache in cell.settings.caches]
        for destination, is_cache in places:
            if (destination, is_cache) in looked_at:
                continue
            looked_at.add((destination, is_cache))
            hidden = hidden_file(tree.entries, destination)
            if hidden is None:
                continue
            if is_cache:
                raise ConfigError(
                    f"{cell.provenance['caches']}: a cache at {destination} hides the project's"
                    f" {hidden} in cell {cell.id}: cells would have it as it once was",
                    hint="give the cache a directory without files of the project",
                )
            notify(f"note: a volume at {destination} hides the project's {hidden}")


async def _copies(
    plan: Plan, copies: Sequence[Copy], notify: Callable[[str], None]
) -> tuple[CopySource, ...]:
    """Look at what is to be copied, and at where it goes."""
    if not copies:
        return ()
    read = partial(read_copies, copies, checkpoint=check_cancelled)
    sources = await to_thread.run_sync(read)
    for mounted in {mounted_in(cell.settings) for cell in plan.cells}:
        refuse_covered(sources, mounted)
    for source in sources:
        for path in source.skipped:
            notify(f"note: {source.copy}: left out {path}, a socket, pipe or device")
    return sources


def _modes(plan: Plan) -> frozenset[WorkspaceMode]:
    return frozenset(cell.settings.workspace for cell in plan.cells)
