"""A Containerfile and the files around it, as podman's builder gets them."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from anyio import to_thread
from anyio.from_thread import check_cancelled

from barasync.config.origin import Place
from barasync.config.schema import ImageNetwork, ImageTable
from barasync.errors import ConfigError
from barasync.matrix.platforms import Platform
from barasync.workspace.archive import pack
from barasync.workspace.scan import scan
from barasync.workspace.tree import OURS, Kind, Tree

_FORMAT = 1  # part of every key
_BLOCK = 512
# Where a Containerfile is sent that is not among the files that it sees.
_OUTSIDE = f"{OURS}/Containerfile"
_IGNORE_FILES = (".containerignore", ".dockerignore")
_USUAL = ("Containerfile", "Dockerfile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a build begins with: `label` is the Containerfile as the configuration has it.

    `containerfile` is its path in the archive, `text` what is in it. `network` is what its steps
    can reach. `tree` are the files that it sees, `beside` what is sent besides, by path: the
    Containerfile where it is not one of those.
    """

    label: str
    containerfile: str
    text: str
    network: ImageNetwork
    tree: Tree
    beside: tuple[tuple[str, bytes], ...] = ()

    def key(self, platform: Platform) -> str:
        """Return what stands for all of it: a SHA-256 in hexadecimal."""
        key = hashlib.sha256(
            f"{_FORMAT}\0{platform}\0{self.network.value}\0{self.tree.key}\0".encode()
        )
        key.update(os.fsencode(self.containerfile))
        for path, data in self.beside:
            key.update(f"\0{path}\0{len(data)}\0".encode() + data)
        return key.hexdigest()


async def read_source(
    project: Path, project_tree: Callable[[], Awaitable[Tree]], place: Place, table: ImageTable
) -> Source:
    """Read what the Containerfile of a declared image sees; `place` names its keys.

    That are the files of the project, or of the directory `context`, as the workspace layer has
    them; podman leaves out what a `.containerignore` or `.dockerignore` names. Paths that are not
    absolute lie in the project.

    Raises:
        ConfigError: the Containerfile or the directory is not there, leads out of the project, or
            cannot be read.
    """
    assert isinstance(table.containerfile, str), "only such an image is built this way"
    inside = table.context if isinstance(table.context, str) else "."
    find = partial(_find, project, table.containerfile, inside, place)
    found = await to_thread.run_sync(find)
    if found.is_project:
        tree = await project_tree()
    else:
        tree = await to_thread.run_sync(partial(scan, found.directory, checkpoint=check_cancelled))
    text = await to_thread.run_sync(_read, found.file)
    is_seen = any(entry.path == found.place and entry.kind is Kind.FILE for entry in tree.entries)
    return Source(
        label=table.containerfile,
        containerfile=found.place if is_seen else _OUTSIDE,
        text=text.decode(errors="surrogateescape"),
        network=table.network,
        tree=tree,
        beside=() if is_seen else await to_thread.run_sync(partial(_beside, found, text)),
    )


def archive(source: Source) -> Generator[bytes, None, None]:
    """Give a tar archive of all that podman gets, in pieces; see `pack`."""
    files = b"".join(chain.from_iterable(_member(path, data) for path, data in source.beside))
    if files:
        yield files
    # The ignore file that is sent besides has their patterns; 5.4.2 would look at them alone.
    left_out = _IGNORE_FILES if source.beside else ()
    entries = (entry for entry in source.tree.entries if entry.path not in left_out)
    with closing(pack(source.tree.root, entries, ".")) as pieces:
        yield from pieces


def _member(path: str, data: bytes) -> tuple[bytes, bytes, bytes]:
    header = tarfile.TarInfo(path)
    header.size, header.mode = len(data), 0o644
    return header.tobuf(tarfile.PAX_FORMAT), data, bytes(-len(data) % _BLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A Containerfile, the directory that it sees, and where it lies from there."""

    file: Path
    directory: Path
    place: str
    is_project: bool


def _find(project: Path, containerfile: str, inside: str, place: Place) -> _Found:
    root = project.resolve()
    directory = _resolved(root, inside, place("context"))
    if not directory.is_dir():
        raise ConfigError(f"{place('context')}: {inside} is not a directory of the project")
    file = _resolved(root, containerfile, place("containerfile"))
    if not file.is_file():
        usual = [each for each in _USUAL if (root / each).is_file()]
        hint = (
            f"there is {', '.join(usual)}"
            if usual
            else "the path begins in the project's directory"
        )
        raise ConfigError(
            f"{place('containerfile')}: there is no file {containerfile} in the project", hint=hint
        )
    return _Found(
        file=file,
        directory=directory,
        place=os.path.relpath(root / containerfile, directory),
        is_project=directory == root,
    )


def _resolved(root: Path, path: str, where: str) -> Path:
    found = (root / path).resolve()
    if not path.startswith("/") and not found.is_relative_to(root):
        raise ConfigError(f"{where}: {path} leads out of the project", hint="use one inside of it")
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _beside(found: _Found, text: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return the Containerfile to be sent, and an ignore file that keeps it from being copied.

    Source: buildah `parse.ContainerIgnoreFile`: one beside the Containerfile counts before one in
    the directory.
    """
    own = [found.file.with_name(found.file.name + suffix) for suffix in _IGNORE_FILES]
    usual = [found.directory / name for name in _IGNORE_FILES]
    ignored = next((each for each in (*own, *usual) if each.is_file()), None)
    patterns = b"" if ignored is None else _read(ignored)
    return (
        (_OUTSIDE, text),
        (f"{_OUTSIDE}.containerignore", patterns + b"\n" + OURS.encode() + b"\n"),
    )
