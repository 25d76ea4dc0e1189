"""Root file systems that were made before, kept as tar archives on this machine.

They spare the download when another podman service, or one whose storage was reset, needs the same
image. An archive has no name until it is whole, so that a process that is killed leaves nothing.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from barasync.errors import ImageError
from barasync.images.bootstrap.recipe import Recipe

_DIRECTORY = "bootstrap"


@dataclass(frozen=True, slots=True)
class Archive:
    """An open archive, and the suite that its packages are of."""

    file: BinaryIO
    suite: str


def find(cache_dir: Path, recipe: Recipe) -> Archive | None:
    """Open the archive of a recipe, `None` if there is none; whoever calls closes it."""
    prefix = f"{recipe.name}-{recipe.tag}-"
    for path in (cache_dir / _DIRECTORY).glob(f"{prefix}*.tar"):
        try:
            file = path.open("rb")
        except FileNotFoundError:  # another process has replaced it
            continue
        return Archive(file, path.stem.removeprefix(prefix))
    return None


def unnamed(cache_dir: Path) -> BinaryIO:
    """Open an empty file in the cache; it vanishes when it is closed, unless `keep` names it.

    Raises:
        ImageError: the cache cannot be written to.
    """
    directory = cache_dir / _DIRECTORY
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return _open_unnamed(directory)
    except OSError as error:
        raise ImageError(
            f"the cache directory {directory} cannot be written to: {error.strerror}",
            hint="make it writable, or set XDG_CACHE_HOME to a directory that is",
        ) from error


def keep(cache_dir: Path, file: BinaryIO, recipe: Recipe, suite: str) -> None:
    """Name a file that `unnamed` opened, and drop the archives of older recipes of the image.

    On a file system without unnamed files nothing is kept.
    """
    directory = cache_dir / _DIRECTORY
    stem, _, _ = recipe.tag.rpartition("-")
    older = re.compile(rf"{re.escape(f'{recipe.name}-{stem}')}-[0-9a-f]+-.*\.tar")
    for path in directory.iterdir():
        if older.fullmatch(path.name):
            path.unlink(missing_ok=True)
    descriptors = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With a directory descriptor, link follows the entry to the file it stands for.
        os.link(
            str(file.fileno()),
            directory / f"{recipe.name}-{recipe.tag}-{suite}.tar",
            src_dir_fd=descriptors,
        )
    except (FileExistsError, FileNotFoundError):
        # Another process was faster; or the file is one that cannot get a name.
        return
    finally:
        os.close(descriptors)


def _open_unnamed(directory: Path) -> BinaryIO:
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError:
        return tempfile.TemporaryFile(dir=directory)
    return os.fdopen(descriptor, "w+b")
