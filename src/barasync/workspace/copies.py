"""Files and directories of this host that a container gets before it starts.

Everything comes along, as with `cp -r`: what git ignores, `.git`, empty directories. Links are
links; only SRC itself is followed. Podman gives the files to the user of the image.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from barasync.aiopodman import Container
from barasync.config.caches import parse_cache
from barasync.config.copies import Copy
from barasync.config.schema import WORKSPACE, CellSettings
from barasync.config.volumes import parse_volume
from barasync.errors import ConfigError
from barasync.workspace.archive import chunks, pack
from barasync.workspace.below import Below
from barasync.workspace.tree import Entry, Kind, entry_at

# Mounted by podman in every container, over what the container's own files have there.
_PODMANS = (
    "/proc",
    "/sys",
    "/dev",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/run/.containerenv",
    "/run/secrets",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySource:
    """What is copied, as it was when it was read: `entries` are relative to `root`, which is first.

    `skipped` names sockets, pipes and devices.
    """

    copy: Copy
    root: Path
    entries: tuple[Entry, ...]
    skipped: tuple[str, ...]


def read_copies(
    copies: Sequence[Copy], *, checkpoint: Callable[[], None]
) -> tuple[CopySource, ...]:
    """Look at everything that is to be copied; a source may be relative to the working directory.

    Blocks for as long as the disk takes: call it in a worker thread. `checkpoint` is called again
    and again meanwhile; what it raises ends it.

    Raises:
        ConfigError: something is missing or cannot be read.
    """
    return tuple(_read(copy, checkpoint) for copy in copies)


def refuse_covered(copies: Iterable[CopySource], mounted: Iterable[str]) -> None:
    """Refuse what something that is mounted would hide, or take out of the container.

    Raises:
        ConfigError: a file or directory would lie at or below a place of `mounted`.
    """
    places = tuple(dict.fromkeys((*_PODMANS, *mounted)))
    below = tuple(f"{place}/" for place in places)
    for source in copies:
        for entry in source.entries:
            path = posixpath.join(source.copy.destination, entry.path).rstrip("/")
            if path in places or path.startswith(below):
                place = next(p for p in places if path == p or path.startswith(f"{p}/"))
                raise ConfigError(
                    f"{source.copy}: {path} cannot be copied: something is mounted at {place}",
                    hint="choose a destination that is in the container's own files",
                )


def mounted_in(settings: CellSettings) -> tuple[str, ...]:
    """Return where a cell's settings have something mounted."""
    places = [parse_volume(volume).destination for volume in settings.volumes]
    places += [parse_cache(cache).destination for cache in settings.caches]
    if settings.workspace.shares_directory:
        places.append(WORKSPACE)
    return tuple(places)


async def send_copies(container: Container, copies: Sequence[CopySource]) -> None:
    """Put copies in a container that has not started, one after the other.

    The archives are made in a worker thread, piece by piece. When cancelled, part may be there.

    Raises:
        ConfigError: a file cannot be read any more, or a volume of the image would hide something.
        TreeChanged: a file changed since it was looked at.
        PodmanError: podman refuses, or did not take everything.
    """
    state = await container.inspect()
    refuse_covered(copies, (mount.destination for mount in state.mounts))
    for source in copies:
        above, name = posixpath.split(source.copy.destination)
        async with aclosing(chunks(pack(source.root, source.entries, name))) as pieces:
            await container.put_archive(above, pieces, keep_kinds=True)


def _read(copy: Copy, checkpoint: Callable[[], None]) -> CopySource:
    root = Path(copy.source)
    unreadable = partial(_unreadable, copy)
    try:
        status = os.stat(root)  # noqa: PTH116 a link is followed, and the reason is wanted
        # A link of this name would be an entry of its own.
        root = root.resolve()
    except OSError as error:
        raise unreadable(root, error) from error
    if root == Path("/"):
        raise ConfigError(f"{copy}: SRC is the whole file system")
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise ConfigError(f"{copy}: {root} is neither a file nor a directory")
    entries: list[Entry] = []
    skipped: list[str] = []
    for path in _paths(root, checkpoint, unreadable):
        checkpoint()
        try:
            with Below(root) as below:
                entry = entry_at(below, path)
        except OSError as error:
            raise unreadable(root / path, error) from error
        if entry is None:
            skipped.append(path)
            continue
        if entry.kind is Kind.FILE and not os.access(root / path, os.R_OK):
            raise ConfigError(f"{copy}: {root / path} cannot be read: Permission denied")
        entries.append(entry)
    return CopySource(copy=copy, root=root, entries=tuple(entries), skipped=tuple(skipped))


def _paths(
    root: Path, checkpoint: Callable[[], None], unreadable: Callable[[Path, OSError], ConfigError]
) -> Generator[str, None, None]:
    """Give the root, then all that is below it: a directory before what is in it, by name."""
    waiting = [""]
    while waiting:
        path = waiting.pop()
        yield path
        if path and not _is_directory(root / path):
            continue
        checkpoint()
        try:
            names = sorted(os.listdir(root / path), reverse=True)  # noqa: PTH208 the names are wanted
        except NotADirectoryError:
            continue
        except OSError as error:
            raise unreadable(root / path, error) from error
        waiting += [posixpath.join(path, name) for name in names]


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _unreadable(copy: Copy, path: Path, error: OSError) -> ConfigError:
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    return ConfigError(f"{copy}: {shown} cannot be read: {error.strerror}")
