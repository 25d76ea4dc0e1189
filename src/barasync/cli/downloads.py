"""What `barasync artifact fetch` and `barasync container export` do."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace as changed
from functools import partial
from pathlib import Path

import typer
from anyio import to_thread

from barasync.aiopodman import Container, ContainerInspect, NotFound, StreamTruncated
from barasync.artifacts.errors import ArchiveError, OutOfReach
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledgers
from barasync.artifacts.manifest import Manifest, escaped
from barasync.artifacts.mounts import Mounts, mounts_of
from barasync.artifacts.place import below
from barasync.artifacts.receiver import APART, Form, Receiver, lost, missing, problem
from barasync.artifacts.resolve import Paths
from barasync.artifacts.sources import Fetch
from barasync.cli.containers import found_container
from barasync.cli.places import without_new_directories
from barasync.cli.raw_output import write_raw
from barasync.cli.standard_streams import STDOUT
from barasync.config.sizes import format_size
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK
from barasync.whole_file import whole_file

# What else podman may say ends the command in the usual way.
_INCOMPLETE = (NotFound, StreamTruncated, ArchiveError, OSError)

_INSIDE = "-"
"""Stands for whatever is in a directory."""

Write = Callable[[bytes], None]
_WRITE_STDOUT = partial(write_raw, STDOUT)


async def fetch_path(
    name: str,
    path: str,
    place: Path,
    *,
    form: Form,
    replace: bool,
    size: int | None,
    files: int | None,
    url: str | None,
    environ: Mapping[str, str],
) -> int:
    """Fetch a path of a container to a place, or into the directory there; return the exit code.

    Nothing is there, or with `replace` goes when all is there that takes its place.

    Raises:
        ConfigError: there is no such container.
    """
    limits = Limits()
    limits = changed(
        limits,
        bytes=size or limits.bytes,
        bytes_setting="`--artifacts-size`",
        members=files or limits.members,
        members_setting="`--artifacts-files`",
    )
    fetched: list[Manifest] = []
    async with found_container(name, url, environ) as (_podman, container, state):
        paths = await Paths.of(container, _mounts(state))
        receiver = Receiver(container, limits, paths.mounts, replace=replace, form=form)
        whole = form is Form.WHOLE
        found = path
        try:
            with (
                without_new_directories(place if whole else place / _INSIDE),
                below(place.parent if whole else place) as directory,
                Ledgers() as ledgers,
            ):
                found = await paths.find(path)
                await _require_archivable(container, path, found, form)
                await receiver.fetch(
                    Fetch(path=found, place=""),
                    directory / place.name if whole else directory,
                    ledgers.new(),
                    fetched.append,
                )
        except FileExistsError as error:
            there = place if whole else place / str(error.filename)
            return _failed(f"{there} exists already; --replace would have replaced it")
        except _INCOMPLETE as error:
            return _failed(problem(error, path, place) + _remark(error, paths, found))
    (manifest,) = fetched
    for refusal in manifest.refused:
        _note(f"left out: {refusal}")
    if manifest.unlisted:
        _note(f"left out: {manifest.unlisted} more")
    _say(f"{place}: {manifest.totals.files} files, {format_size(manifest.totals.bytes)}")
    return _failed(f"{path}: {lost(manifest.lost)}") if manifest.lost else EXIT_OK


async def fetch_tar(
    name: str, path: str, *, form: Form, url: str | None, environ: Mapping[str, str]
) -> int:
    """Write podman's archive of a path of a container to stdout; return the exit code.

    With the form `CONTENT` it has what is in the directory, without its name.

    Raises:
        ConfigError: there is no such container.
    """
    async with found_container(name, url, environ) as (_podman, container, state):
        paths = await Paths.of(container, _mounts(state))
        found = path
        try:
            found = await paths.find(path)
            for inside in paths.mounts.inside(found):
                _note(f"{inside}: {APART}")
            # Podman follows links itself, and keeps the name, but not to what is mounted.
            asked = path if paths.mounts.apart_at(found) is None else found
            asked += "/." if form is Form.CONTENT else ""
            await _send(container.archive(asked), _WRITE_STDOUT)
        except _INCOMPLETE as error:
            return _failed(_why(error, path, "stdout") + _remark(error, paths, found))
    return EXIT_OK


async def export_tar(name: str, *, url: str | None, environ: Mapping[str, str]) -> int:
    """Write an archive of all files of a container to stdout; return the exit code.

    Raises:
        ConfigError: there is no such container.
    """
    async with found_container(name, url, environ) as (_podman, container, _state):
        try:
            await _send(container.export(), _WRITE_STDOUT)
        except _INCOMPLETE as error:
            return _failed(_why(error, name, "stdout"))
    return EXIT_OK


async def export_file(
    name: str, place: Path, *, url: str | None, environ: Mapping[str, str]
) -> int:
    """Write an archive of all files of a container to a file; return the exit code.

    The file takes its place when it is whole; when this is cancelled nothing is left of it.

    Raises:
        ConfigError: there is no such container.
    """
    async with found_container(name, url, environ) as (_podman, container, _state):
        try:
            with whole_file(place) as descriptor:
                await _send(container.export(), partial(_write_file, descriptor))
        except _INCOMPLETE as error:
            return _failed(f"{_why(error, name, str(place))}; nothing of it was kept")
    _say(str(place))
    return EXIT_OK


async def _require_archivable(container: Container, path: str, found: str, form: Form) -> None:
    """Refuse what podman's archive would be empty of, or what has not the form that is wanted.

    Raises:
        OutOfReach: it is neither file nor directory, or the other one.
        PodmanError: podman does not tell.
    """
    stat = await container.stat(found)
    if stat is not None and stat.target is not None:
        stat = await container.stat(stat.target)
    if stat is not None and stat.special is not None:
        raise OutOfReach(
            f"{path} is {stat.special}; only files, directories and links can be fetched"
        )
    if stat is not None and form is not Form.WHOLE and stat.is_directory is (form is Form.UNPACKED):
        is_ = "a directory, not a tar archive" if stat.is_directory else "not a directory"
        raise OutOfReach(f"{path} is {is_}")


def _remark(error: Exception, paths: Paths, found: str) -> str:
    return paths.remark(found) if isinstance(error, NotFound) else ""


def _mounts(container: ContainerInspect) -> Mounts:
    """Return what an archive misses: nothing, while the container runs."""
    if container.state.status == "running":
        return Mounts()
    return mounts_of(container, workspace=None)


async def _send(archive: AbstractAsyncContextManager[AsyncIterator[bytes]], write: Write) -> None:
    """Write an archive piece by piece, each in a thread; podman waits while that waits."""
    async with archive as pieces:
        async for piece in pieces:
            await to_thread.run_sync(write, piece)


def _write_file(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _why(error: Exception, what: str, place: str) -> str:
    """Say in one sentence why an archive did not come whole."""
    match error:
        case BrokenPipeError():
            return f"nobody read the archive of {what} to its end"
        case StreamTruncated():
            return f"the archive of {what} is not whole: {error}"
        case NotFound():
            return missing(what)
        case OSError():
            return f"{place} cannot be written: {error.strerror}"
        case _:
            return str(error)


def _failed(reason: str) -> int:
    _say(f"barasync: {reason}", err=True)
    return EXIT_NOT_PASSED


def _note(text: str) -> None:
    _say(f"note: {text}", err=True)


def _say(text: str, *, err: bool = False) -> None:
    """Print a line, whatever is in the names that it holds."""
    typer.echo(escaped(text), err=err)
