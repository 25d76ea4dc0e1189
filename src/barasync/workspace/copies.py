"""Files and directories of this host that a container gets before it starts.

Everything comes along, as with `cp -r`: what git ignores, `.git`, empty directories; but not what
grows while it is read, what barasync keeps in a project and the file that its output goes to. Links
are links; only SRC itself is followed. Podman gives the files to the user of the image.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from barasync.config.copies import Copy
from barasync.errors import ConfigError
from barasync.workspace.below import Below
from barasync.workspace.own_output import OwnOutput
from barasync.workspace.tree import OURS, Entry, Kind, entry_at


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySource:
    """What is copied, as it was when it was read: `entries` are relative to `root`, which is first.

    `skipped` names sockets, pipes and devices.
    """

    copy: Copy
    root: Path
    entries: tuple[Entry, ...]
    skipped: tuple[str, ...]

    @property
    def is_file(self) -> bool:
        """Whether it is a file alone."""
        return self.entries[0].kind is Kind.FILE


def read_copies(
    copies: Sequence[Copy], *, checkpoint: Callable[[], None]
) -> tuple[CopySource, ...]:
    """Look at everything that is to be copied; a source may be relative to the working directory.

    Blocks for as long as the disk takes: call it in a worker thread. `checkpoint` is called again
    and again meanwhile; what it raises ends it.

    Raises:
        ConfigError: something is missing or cannot be read, or would be below a file of another.
    """
    read = tuple(_read(copy, checkpoint) for copy in copies)
    _refuse_below_files(read)
    return read


def _refuse_below_files(copies: Sequence[CopySource]) -> None:
    files = {each.copy.destination: each for each in copies if each.is_file}
    for each in copies:
        for above in PurePosixPath(each.copy.destination).parents:
            if (other := files.get(str(above))) is not None:
                raise ConfigError(
                    f"{each.copy}: {other.copy} makes {above} a file, which has nothing below it",
                    hint="give each its own destination",
                )


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
    with Below(root) as below:
        for path, entry in everything(below, "", checkpoint, unreadable):
            if entry is None:
                skipped.append(path)
                continue
            if entry.kind is Kind.FILE and not _is_readable(below, path):
                raise ConfigError(f"{copy}: {root / path} cannot be read: Permission denied")
            entries.append(entry)
    return CopySource(copy=copy, root=root, entries=tuple(entries), skipped=tuple(skipped))


def everything(
    below: Below,
    start: str,
    checkpoint: Callable[[], None],
    unreadable: Callable[[Path, OSError], ConfigError],
) -> Generator[tuple[str, Entry | None], None, None]:
    """Give what lies at a path, then all that is below it: a directory before what is in it.

    It goes by name; of what is neither file, directory nor link there is no entry. A file that our
    own output goes to is left out, unless it is what is asked for.

    Raises:
        ConfigError: `unreadable` of what cannot be looked at.
    """
    own_output = OwnOutput()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        checkpoint()
        try:
            entry = entry_at(below, path)
            if entry is not None and entry.kind is Kind.DIRECTORY:
                names = os.listdir(below.directory(path))  # noqa: PTH208 a Path would follow links
                taken = sorted((name for name in names if name != OURS), reverse=True)
                waiting += [posixpath.join(path, name) for name in taken]
        except OSError as error:
            raise unreadable(below.root / path, error) from error
        is_file = entry is not None and entry.kind is Kind.FILE
        if not (is_file and path != start and own_output.has(below, path)):
            yield path, entry


def _is_readable(below: Below, path: str) -> bool:
    directory, name = below.place(path)
    return os.access(name, os.R_OK, dir_fd=directory, follow_symlinks=False)


def _unreadable(copy: Copy, path: Path, error: OSError) -> ConfigError:
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    return ConfigError(f"{copy}: {shown} cannot be read: {error.strerror}")
