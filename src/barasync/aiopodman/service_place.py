"""The directories of private services, and those that dead ones have left.

A service has one directory for its socket and one for what podman writes while it works: contexts,
what a step of a build is executed from, copies of layers. A builder that is killed removes none of
that, and nothing in podman's own temporary directory tells whose it is; in a directory of ours it
goes with the service, or with whoever finds that its owner is dead.

The owner has a lock on each of them, which ends with its process, however that ends (flock(2)).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import tomllib
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from anyio import CancelScope, current_time, sleep, to_thread

from barasync.aiopodman.connections import containers_conf_paths
from barasync.aiopodman.errors import ServiceError
from barasync.aiopodman.service_launch import SOCKET_NAME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

PREFIX = "barasync-service-"

SOCKET_PATH_LIMIT = 107
"""Bytes in the path of a Unix socket. Source: unix(7)."""

_TEMPORARY = "/var/tmp"  # noqa: S108 - podman's own; mkdtemp makes what is in it private
_FALLBACK = "/tmp"  # noqa: S108 - mkdtemp makes it private
_IN_USE = "it is in use"
_LOOK_SECONDS = 0.05
# Whoever looks whose a directory is has its lock for less.
_PATIENCE_SECONDS = 0.5
# proc_pid_mountinfo(5): the fifth field of a line.
_MOUNT_POINT = 4
_MOUNT_TABLE = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class _Engine(msgspec.Struct):
    image_copy_tmp_dir: str = ""


class _Conf(msgspec.Struct):
    engine: _Engine = msgspec.field(default_factory=_Engine)


@dataclass(frozen=True, slots=True)
class Places:
    """The directories of one service; `temporary` is `None` where podman has to have its own."""

    socket: str
    temporary: str | None


@asynccontextmanager
async def service_places(environ: Mapping[str, str], *, rootless: bool) -> AsyncIterator[Places]:
    """Make directories that only this user can enter, for the block.

    The path of the first is short enough for a socket.

    Raises:
        ServiceError: there is no place for a socket.
    """
    places, locks = await to_thread.run_sync(partial(_make, environ, rootless=rootless))
    try:
        yield places
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(_remove_own, places)
        for lock in locks:
            os.close(lock)


def abandoned(environ: Mapping[str, str], *, rootless: bool) -> tuple[Path, ...]:
    """Return the directories of this user's services whose owner is dead; blocking.

    They are looked for where a service with this environment would have them.
    """
    parents = (*_socket_parents(environ, rootless=rootless), _TEMPORARY)
    temporary = _temporary_parent(environ, rootless=rootless)
    found = []
    for parent in sorted({*parents, *filter(None, (temporary,))}):
        with suppress(OSError):
            found += [path for path in sorted(Path(parent).glob(f"{PREFIX}*")) if _is_dead(path)]
    return tuple(found)


async def remove_abandoned(path: Path) -> str | None:
    """Remove one of what `abandoned` returned; say why it is still there, `None` if it is not.

    What has a mount in it is let alone. When cancelled, some of it may be left.
    """
    deadline = current_time() + _PATIENCE_SECONDS
    while True:
        reason = await to_thread.run_sync(_remove_unowned, path)
        if reason != _IN_USE or current_time() >= deadline:
            return reason
        await sleep(_LOOK_SECONDS)


def _remove_unowned(path: Path) -> str | None:
    with _taken(path, fcntl.LOCK_EX) as is_taken:
        if not is_taken:
            return _IN_USE if path.exists() else None
        if _has_mount(path):
            return f"something is mounted in it; unmount that, then `rm -r {path}`"
        while path.exists():
            try:
                shutil.rmtree(path)
            except FileNotFoundError:
                continue  # the guard of the service is at it as well
            except OSError as error:
                return f"{error.filename}: {error.strerror}; `podman unshare rm -r {path}`"
    return None


def _is_dead(path: Path) -> bool:
    # Others that look at the same time find the same.
    with _taken(path, fcntl.LOCK_SH) as is_taken:
        return is_taken


@contextmanager
def _taken(path: Path, how: int) -> Iterator[bool]:
    """Have the lock of a directory of this user for the block, if nobody keeps us from it."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield os.fstat(lock).st_uid == os.geteuid() and _lock(lock, how | fcntl.LOCK_NB)
    finally:
        os.close(lock)


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        return False
    return True


def _make(environ: Mapping[str, str], *, rootless: bool) -> tuple[Places, tuple[int, ...]]:
    socket, lock = _make_first(_socket_parents(environ, rootless=rootless))
    parent = _temporary_parent(environ, rootless=rootless)
    if parent is None:
        return Places(socket, None), (lock,)
    try:
        temporary, second = _make_locked(parent)
    except OSError:
        return Places(socket, None), (lock,)
    return Places(socket, temporary), (lock, second)


def _make_first(parents: Iterable[str]) -> tuple[str, int]:
    problems = []
    for parent in parents:
        if len(os.fsencode(f"{parent}/{PREFIX}xxxxxxxx/{SOCKET_NAME}")) > SOCKET_PATH_LIMIT:
            problems.append(f"{parent}: too long for the path of a socket")
            continue
        try:
            return _make_locked(parent)
        except OSError as error:
            problems.append(f"{parent}: {error.strerror}")
    raise ServiceError(f"there is no place for podman's socket ({'; '.join(problems)})")


def _make_locked(parent: str) -> tuple[str, int]:
    """Make a directory and have its lock, before anybody takes it for one without an owner."""
    while True:
        path = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            _lock(lock, fcntl.LOCK_EX)
            if _is_at(path, lock):
                return path, lock
            os.close(lock)


def _is_at(path: str, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(Path(path).lstat(), os.fstat(descriptor))
    return False


def _remove_own(places: Places) -> None:
    """Remove the directories of a service that has ended; the guard has often been there first."""
    shutil.rmtree(places.socket, ignore_errors=True)
    if places.temporary is not None and not _has_mount(Path(places.temporary)):
        shutil.rmtree(places.temporary, ignore_errors=True)


def _socket_parents(environ: Mapping[str, str], *, rootless: bool) -> tuple[str, ...]:
    runtime = environ.get("XDG_RUNTIME_DIR") if rootless else "/run"
    return tuple(filter(None, (runtime, environ.get("TMPDIR"), _FALLBACK)))


def _temporary_parent(environ: Mapping[str, str], *, rootless: bool) -> str | None:
    """Return where podman would have its temporary files, `None` if ours cannot be there.

    A rootless podman without `XDG_RUNTIME_DIR` derives the place of its state from `TMPDIR`, which
    must then be what it is for all podmans of the user; and a configuration may have them in
    podman's storage. Source: containers.conf(5), `image_copy_tmp_dir`; containers/storage,
    `types.getRootlessRuntimeDirIsolated`.
    """
    if rootless and not environ.get("XDG_RUNTIME_DIR"):
        return None
    if parent := environ.get("TMPDIR"):
        return parent
    configured = _TEMPORARY
    for path in containers_conf_paths(environ):
        with suppress(OSError, ValueError):
            conf = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Conf)
            configured = conf.engine.image_copy_tmp_dir or configured
    return configured if Path(configured).is_absolute() else None


def _has_mount(path: Path) -> bool:
    """Tell whether something is mounted below: what is in it would be removed as well."""
    real = path.resolve()
    return any(point.is_relative_to(real) for point in mount_points(_MOUNT_TABLE.read_bytes()))


def mount_points(table: bytes) -> tuple[Path, ...]:
    """Return the mount points in the contents of `/proc/self/mountinfo`, which escapes blanks."""
    fields = (line.split(b" ")[_MOUNT_POINT] for line in table.splitlines())
    return tuple(
        Path(os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), field)))
        for field in fields
    )
