"""The images of a project, put together for a command that builds or uses them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.from_thread import check_cancelled

from barasync.aiopodman import Rlimit
from barasync.cli.connect import Reached
from barasync.cli.directories import cache_directory, lock_directory
from barasync.cli.project import Project
from barasync.engine.build import BuildContext
from barasync.engine.build_processes import build_in
from barasync.engine.identity import Identity
from barasync.engine.images import Images
from barasync.engine.once import Once
from barasync.engine.usage import RunCgroup
from barasync.images.proxies import proxies_of
from barasync.images.registry import Registries
from barasync.images.resolve import ResolvedImage
from barasync.matrix.platforms import Platform
from barasync.workspace.scan import scan
from barasync.workspace.tree import Tree

Tell = Callable[[str, Platform, str], None]
"""Hears a line on an image, for a person: the image's name, the platform, the line."""


def declared_images(
    project: Project,
    reached: Reached,
    identity: Identity,
    *,
    run: str,
    environ: Mapping[str, str],
    registries: Registries,
    logs: Path,
    hold: Callable[[str], Awaitable[None]],
    tree: Callable[[], Awaitable[Tree]],
    tell: Tell,
    on_found: Callable[[ResolvedImage], None] = lambda _: None,
    tell_output: Tell | None = None,
    cache: bool = True,
    jobs: int | None = None,
    emulated: Sequence[Platform] = (),
    check_elf: bool = False,
) -> Images:
    """Return what finds or makes images, for a run or a build of the ID `run`.

    `environ` names the proxies for what is executed. `registries` are how they are asked for images
    that are not declared. `jobs` is how many steps
    execute something at once, as many as the service's host has CPUs if `None`. What steps print
    goes to `logs`, and to `tell_output`. `hold` keeps an image from being pruned, `on_found` hears
    of every image. Before anything is made, the machine has to be able to run programs of the
    platforms in `emulated`. `check_elf` compares the images' shells with their platforms.
    """
    document = project.document
    processors = anyio.CapacityLimiter(1)

    async def get_ready(_: str) -> tuple[Rlimit, ...]:
        connection = await reached.look()
        processors.total_tokens = jobs or connection.host.cpus or 1
        if emulated:
            # It takes 0.01 s to load, and a build that finds everything does without.
            from barasync.cli.emulation import require_emulators  # noqa: PLC0415 - as said

            await require_emulators(emulated, connection, identity)
        return connection.rlimits

    async def cgroup_of(build: str) -> RunCgroup | None:
        cgroups = (await reached.look()).cgroups
        if cgroups is None:
            return None
        return RunCgroup(cgroups, identity.cgroup(build_in(run, build)))

    readiness: Once[str, tuple[Rlimit, ...]] = Once(get_ready)
    context = BuildContext(
        podman=reached.podman,
        project=project.directory,
        tree=tree,
        labels=identity.labels(run),
        maker=identity.maker_labels(run),
        ready=partial(readiness.get, run),
        logs=logs,
        locks=lock_directory(),
        processors=processors,
        on_progress=tell,
        on_output=tell_output,
        cache=cache,
        proxies=proxies_of(environ),
        hold=hold,
        cgroup_of=cgroup_of,
        called=project.origin.called,
    )
    return Images(
        {} if document is None else document.images,
        context,
        registries=registries,
        cache_dir=cache_directory(),
        on_found=on_found,
        check_elf=check_elf,
    )


async def read_tree(directory: Path) -> Tree:
    """Read the project's files.

    Raises:
        ConfigError: one of them cannot be read.
    """
    # The thread cannot be left behind: it would be waited for when the interpreter ends.
    return await to_thread.run_sync(partial(scan, directory, checkpoint=check_cancelled))


def read_once(directory: Path) -> Callable[[], Awaitable[Tree]]:
    """Return what gives the project's files, read when they are wanted first."""
    trees: Once[Path, Tree] = Once(read_tree)
    return partial(trees.get, directory)
