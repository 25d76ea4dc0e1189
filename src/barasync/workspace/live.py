"""The project's directory itself in a container, not a copy of what belongs to the project.

A cell sees all of it, files that git ignores too, but never `.barasync`: there the run keeps its
record, which is none of a cell's business, and which a cell could turn into a link that leads the
engine astray. Nobody changes owner or label of what is in the directory.

An *overlay* gives each container a view of its own: what it writes goes to a directory of podman's
that goes with the container, or to volumes (`engine.overlays`) where artifacts lie in it. Changes
on the host show in running cells, but the kernel promises no more than not to crash (kernel
documentation, "Changes to underlying filesystems"). A *bind* mount is the directory, read-write,
in all cells.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import replace
from pathlib import Path

from barasync.aiopodman import ContainerSpec, Mount
from barasync.config.schema import WORKSPACE, WorkspaceMode
from barasync.errors import ConfigError
from barasync.workspace.tree import OURS

# Podman mounts it itself without root or with a mount program, else it lets crun do so.
_ON_A_FILE = re.compile(
    r"crun: mount `[^`]*` to `[^`]*`: Not a directory|unable to find user .*: is a directory"
)
_NO_OVERLAY = re.compile(r"mounting overlay failed|crun: mount `[^`]*/userdata/overlay/[^`]*`")
# Podman's words, and those of crun for what podman does not look at: a mount.
_NO_WORKDIR = re.compile(
    r'workdir "[^"]*" (?:does not exist|exists on .*, but is not a directory)|crun: chdir '
)


def with_workspace(spec: ContainerSpec, mode: WorkspaceMode, project: Path) -> ContainerSpec:
    """Return `spec` with a workspace in it: what is mounted there, and the place to start in.

    Where `spec` has such a place, that stays.

    Wherever the project's `.barasync` would be seen, there is an empty directory; blocks for a
    moment.

    Raises:
        ConfigError: a mount is of `.barasync` itself or something in it.
    """
    if mode is not WorkspaceMode.NONE:
        spec = replace(spec, work_dir=spec.work_dir or WORKSPACE)
    if mode.shares_directory:
        mount = Mount(str(project), WORKSPACE)
        if mode is WorkspaceMode.OVERLAY:
            spec = replace(spec, overlays=(*spec.overlays, mount))
        else:
            spec = replace(spec, mounts=(*spec.mounts, mount))
    record = os.path.realpath(project / OURS)
    places = (_place_of(record, mount) for mount in (*spec.mounts, *spec.overlays))
    return replace(spec, hidden=(*spec.hidden, *filter(None, places)))


def _place_of(record: str, mount: Mount) -> str | None:
    """Return where the record of the project's runs is in a mount, `None` if it is not."""
    if mount.is_volume:
        return None
    source = os.path.realpath(mount.source)
    if source == record or source.startswith(f"{record}/"):
        raise ConfigError(
            f"{mount.source} is where barasync keeps its record; no cell may change that",
            hint="copy what a cell needs of it elsewhere",
        )
    if not record.startswith(f"{source.rstrip('/')}/"):
        return None
    return posixpath.join(mount.destination, os.path.relpath(record, source))


def mount_hint(message: str) -> str | None:
    """Return what to do where podman says, in a `message`, that something cannot be mounted."""
    if _ON_A_FILE.search(message) is not None:
        return "a cache or volume is a directory, and the image has a file at its destination"
    if _NO_OVERLAY.search(message) is None:
        return None
    return "this host mounts no overlay of the project; `--workspace layer` needs none"


def workdir_hint(message: str) -> str | None:
    """Return what to do where podman says, in a `message`, that nothing can start where it is to.

    Below a mount there is no such message: the runtime makes the directory.
    """
    if _NO_WORKDIR.search(message) is None:
        return None
    return "the command starts in `workdir`, which has to be a directory of the image or of a mount"
