"""What is begun in the background, on disk: its lock, its output, and what it ended with.

    .barasync/background/
    ├── lock                 held by whoever begins, takes or removes an entry, for a moment
    └── HASH/                of a key
        ├── key              the key itself
        ├── lock             held alone while its processes live, shared by whoever takes its result
        ├── stdout  stderr   what it has printed
        └── code             what it ended with; there is none where it was killed

Nobody has to wait for whoever takes a result: what is begun anew gets new files, while the old ones
are read on. The locks are those of flock(2), which end with the last process that has inherited the
descriptor, however it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError
from barasync.report.files import background_directory, make_background_directory, written_whole
from barasync.terminal_text import one_line

_LOCK = "lock"
_KEY = "key"
_STDOUT = "stdout"
_STDERR = "stderr"
_CODE = "code"
_MOST_SHOWN = 60
_MOST_NAMED = 5
# Words are compared letter by letter.
_MOST_COMPARED = 200


@dataclass(frozen=True, slots=True)
class Begun:
    """An entry that is ours to fill, by descriptors that processes inherit when they are forked."""

    directory: Path
    lock: int
    stdout: int
    stderr: int

    def end(self, code: int) -> None:
        """Note what it has ended with; blocking.

        Raises:
            OSError: it cannot be written.
        """
        with written_whole(self.directory / _CODE) as file:
            file.write(f"{code}\n".encode())

    def close(self) -> None:
        """Leave it to whoever has inherited it."""
        for descriptor in (self.lock, self.stdout, self.stderr):
            os.close(descriptor)

    def undo(self) -> None:
        """Remove it, as nobody will fill it; blocking."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.close()


@dataclass(frozen=True, slots=True)
class Ended:
    """An entry whose processes are gone: what it printed, as open files, and its code.

    `code` is `None` where it was killed.
    """

    code: int | None
    stdout: int
    stderr: int


class State(Enum):
    """What is known of an entry."""

    RUNS = "runs"
    ENDED = "ended"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as somebody finds it who is not to take its result.

    `ended` is when it ended, in seconds since 1970, and `None` unless its state is `ENDED`.
    """

    directory: Path
    key: str
    state: State
    ended: float | None = None


def shown(key: str) -> str:
    """Return a key as it is named in a sentence: on one line, and not endless."""
    return f"'{one_line(key, most=_MOST_SHOWN)}'"


def begin(project: Path, key: str) -> Begun | None:
    """Return a new entry for a key, `None` where what was begun with it still runs; blocking.

    The result of an earlier one that nobody has taken is gone.

    Raises:
        ConfigError: the entry cannot be made.
    """
    try:
        entries = make_background_directory(project)
        with _alone(entries):
            return _begin(entries / _hash(key), key)
    except OSError as error:
        raise ConfigError(
            f"no place for what is begun in the background below {background_directory(project)}:"
            f" {error.strerror or error}",
            hint="run from a project directory that you may write to",
        ) from error


def _begin(directory: Path, key: str) -> Begun | None:
    directory.mkdir(exist_ok=True)
    with suppress(FileNotFoundError), _opened(directory / _LOCK) as before:
        if not _locks(before, fcntl.LOCK_SH):
            return None
    for name in (_LOCK, _KEY, _STDOUT, _STDERR, _CODE):
        (directory / name).unlink(missing_ok=True)
    opened: list[int] = []
    try:
        for name in (_LOCK, _STDOUT, _STDERR):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            opened.append(os.open(directory / name, flags, 0o666))
        fcntl.flock(opened[0], fcntl.LOCK_EX)
        # Only with its key it is one: whoever is killed before has begun nothing.
        with written_whole(directory / _KEY) as file:
            file.write(os.fsencode(key))
    except BaseException:
        for descriptor in opened:
            os.close(descriptor)
        raise
    return Begun(directory, *opened)


@contextmanager
def awaited(project: Path, key: str, waiter: str | None = None) -> Iterator[int]:
    """Give the lock of what was begun with a key, open for the block; blocking.

    It can be had shared once all of its processes are gone. `waiter` is the command that waits, of
    whose words the key was made.

    Raises:
        ConfigError: nothing was begun with it, or its result was taken, with the nearest key; or it
            cannot be looked at.
    """
    entries = background_directory(project)
    directory = entries / _hash(key)
    with ExitStack() as stack:
        lock = None
        with _told(entries), suppress(FileNotFoundError), _alone(entries):
            # Without a key nobody has begun it, or not yet.
            if (directory / _KEY).exists():
                lock = stack.enter_context(_opened(directory / _LOCK))
        if lock is None:
            raise _unknown(project, key, waiter)
        yield lock


@contextmanager
def taken(project: Path, key: str, lock: int, waiter: str | None = None) -> Iterator[Ended]:
    """Give the result of what has ended, with its lock had shared, for the block; blocking.

    After the block the entry is removed; where that raises it stays.

    Raises:
        ConfigError: somebody else has taken the result meanwhile, or it cannot be read or removed.
    """
    entries = background_directory(project)
    directory = entries / _hash(key)
    with ExitStack() as stack:
        found = None
        with _told(entries), suppress(FileNotFoundError), _alone(entries):
            if _is_at(directory / _LOCK, lock):
                out = stack.enter_context(_opened(directory / _STDOUT))
                error = stack.enter_context(_opened(directory / _STDERR))
                found = Ended(_code(directory), out, error)
        if found is None:
            named = "what was begun with these words" if waiter else shown(key)
            raise ConfigError(
                f"the result of {named} is gone: somebody else has taken it, or begun it anew"
            )
        yield found
    with _told(entries), suppress(FileNotFoundError), _alone(entries):
        if _is_at(directory / _LOCK, lock):
            shutil.rmtree(directory)


def entries_of(project: Path) -> tuple[Entry, ...]:
    """Return what was begun in the background in a project, by key; blocking.

    Raises:
        OSError: they cannot be looked at.
    """
    entries = background_directory(project)
    if not (entries / _LOCK).exists():
        return ()
    with _alone(entries):
        found = [_entry(path) for path in entries.iterdir() if path.is_dir()]
    return tuple(sorted(found, key=lambda each: (each.key, each.directory)))


def remove(entry: Entry) -> bool:
    """Remove an entry whose processes are gone; tell whether it is gone now; blocking.

    One that somebody takes the result of, or has begun anew, stays: also one that has ended again.

    Raises:
        OSError: it cannot be removed.
    """
    with _alone(entry.directory.parent):
        if not entry.directory.exists():
            return True
        if _entry(entry.directory) != entry:
            return False
        with suppress(FileNotFoundError), _opened(entry.directory / _LOCK) as lock:
            if not _locks(lock, fcntl.LOCK_EX):
                return False
        shutil.rmtree(entry.directory)
    return True


def _entry(directory: Path) -> Entry:
    key = _read_key(directory) or directory.name
    with suppress(FileNotFoundError), _opened(directory / _LOCK) as lock:
        if not _locks(lock, fcntl.LOCK_SH):
            return Entry(directory, key, State.RUNS)
    if _code(directory) is None:
        return Entry(directory, key, State.KILLED)
    return Entry(directory, key, State.ENDED, (directory / _CODE).stat().st_mtime)


def _unknown(project: Path, key: str, waiter: str | None) -> ConfigError:
    if waiter:
        return ConfigError(
            f"{waiter}: nothing was begun with these words in {project}, or its result was taken",
            hint="what begins it has the same words, in the same directory",
        )
    try:
        keys = [each.key for each in entries_of(project)]
    except OSError:
        keys = []
    named = ", ".join(shown(each) for each in keys[:_MOST_NAMED])
    more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
    near = {one_line(each, most=_MOST_COMPARED): each for each in keys}
    meant = did_you_mean(one_line(key, most=_MOST_COMPARED), near)
    return ConfigError(
        f"nothing was begun in the background with the key {shown(key)} in {project}, or its result"
        f" was taken{meant}",
        hint=f"there is {named}{more}"
        if keys
        else "`--background KEY` of run and matrix begins it",
    )


def _read_key(directory: Path) -> str:
    try:
        return os.fsdecode((directory / _KEY).read_bytes())
    except OSError:
        return ""


def _code(directory: Path) -> int | None:
    """Return what it has ended with; what a power cut has left of that is none."""
    try:
        return int((directory / _CODE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _hash(key: str) -> str:
    return hashlib.sha256(os.fsencode(key)).hexdigest()[:32]


@contextmanager
def _told(entries: Path) -> Iterator[None]:
    """Say that what is begun in the background cannot be looked at or removed, if that is so."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{error.filename or entries}: {error.strerror or error}",
            hint="whoever waits for what was begun in the background removes it afterwards",
        ) from error


@contextmanager
def _alone(entries: Path) -> Iterator[None]:
    """Keep everybody else from beginning, taking and removing entries for the block."""
    with _opened(entries / _LOCK, os.O_CREAT) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(path: Path, more: int = 0) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | more, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locks(descriptor: int, how: int) -> bool:
    """Get a lock if nobody keeps us from it; tell whether that is so."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Tell whether a file is still where it was opened."""
    with suppress(FileNotFoundError):
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    return False
