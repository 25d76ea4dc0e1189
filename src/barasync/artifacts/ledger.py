"""What an extraction has written so far, member by member, in a file instead of in memory.

An archive may have half a million members, and hard links may refer to any earlier one. SQLite
keeps them in a temporary file that is deleted as soon as it is open, and half a MiB of it in
memory. Paths are indexed only once an archive has a hard link: most have none.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import NamedTuple

from barasync.artifacts.manifest import Entry, Kind, Totals
from barasync.artifacts.rules import decoded, encoded
from barasync.artifacts.tally import Tally

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA temp_store = FILE;
PRAGMA cache_size = -512;
BEGIN;
CREATE TABLE entry (
    id INTEGER PRIMARY KEY, path BLOB, kind TEXT, mode INTEGER, size INTEGER, digest BLOB,
    target BLOB, inode INTEGER, kept INTEGER
);
CREATE TABLE directory (
    path BLOB PRIMARY KEY, device INTEGER, inode INTEGER, entry INTEGER
) WITHOUT ROWID;
"""
_ADD = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_BATCH = 256

_Row = tuple[int, bytes, str, int, int, bytes | None, bytes | None, int, int | None]


class Written(NamedTuple):
    """A file that was written, as hard links to it need it.

    `digest` is the SHA-256 of its content. `kept` is `None`, or its number among the files that
    are kept only to be linked to.
    """

    path: str
    mode: int
    size: int
    digest: bytes
    inode: int
    kept: int | None = None


class Made(NamedTuple):
    """A directory that was made: what it is to the kernel, and its entry, if a member names it."""

    device: int
    inode: int
    entry: int | None


class Ledger:
    """The entries of one archive; used by one thread at a time, whichever.

    The owner closes it, with `Ledgers` or by itself. Until `begin` there is nothing in it, and
    nothing open. `tally` counts the entries too, and can be read afterwards.

    Raises (whatever is called):
        OSError: the file cannot be written or read.
    """

    def __init__(self, tally: Tally | None = None) -> None:
        self._tally = Tally() if tally is None else tally
        self._database: sqlite3.Connection | None = None
        self._pending: list[_Row] = []
        self._last = 0
        self._indexed = False
        self.totals = Totals()
        """The sums of the entries."""

    def begin(self) -> None:
        """Open the file, or empty it."""
        self.close()
        self._tally.clear()
        with _as_os_error():
            self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file, which deletes it."""
        if self._database is not None:
            self._database.close()
        self._database = None
        self._pending.clear()
        self._last = 0
        self.totals = Totals()
        self._indexed = False

    def add_file(self, file: Written) -> None:
        """Add a file or a hard link; one that is only `kept` is not among the entries."""
        self._add(
            (
                *(encoded(file.path), Kind.FILE, file.mode, file.size),
                *(file.digest, None, file.inode, file.kept),
            )
        )
        if file.kept is None:
            self._count(file.path, files=1, size=file.size)

    def add_symlink(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._add((encoded(path), Kind.SYMLINK, 0o777, 0, None, encoded(target), 0, None))
        self._count(path)

    def add_directory(self, path: str, mode: int) -> None:
        """Add a directory that was noted as made; one that is an entry gets the new mode."""
        made = self.made(path)
        if made is not None and made.entry is not None:
            self.flush()
            self._execute("UPDATE entry SET mode = ? WHERE id = ?", mode, made.entry)
            return
        self._add((encoded(path), Kind.DIRECTORY, mode, 0, None, None, 0, None))
        self._execute("UPDATE directory SET entry = ? WHERE path = ?", self._last, encoded(path))
        self._count(path)

    def flush(self) -> None:
        """Write to the file what was added."""
        if self._pending:
            assert self._database is not None, "nothing is added before `begin`"
            with _as_os_error():
                self._database.executemany(_ADD, self._pending)
            self._pending.clear()

    def made(self, path: str) -> Made | None:
        """Return what a directory that was made is to the kernel."""
        query = "SELECT device, inode, entry FROM directory WHERE path = ?"
        row = self._execute(query, encoded(path)).fetchone()
        return None if row is None else Made(*row)

    def note_made(self, path: str, device: int, inode: int) -> None:
        """Note what a directory that was just made is to the kernel."""
        row = encoded(path), device, inode
        self._execute("INSERT INTO directory VALUES (?, ?, ?, NULL)", *row)

    def file(self, path: str) -> Written | None:
        """Return what was written as the file of a path, or is kept for it."""
        self.flush()
        if not self._indexed:
            self._execute("CREATE INDEX entry_path ON entry (path)")
            self._indexed = True
        row = self._execute(
            "SELECT mode, size, digest, inode, kept FROM entry WHERE path = ? AND kind = ? "
            "ORDER BY kept LIMIT 1",
            *(encoded(path), Kind.FILE),
        ).fetchone()
        return None if row is None else Written(path, *row)

    def __iter__(self) -> Iterator[Entry]:
        """Give the entries in the order of the archive."""
        if self._database is None:
            return
        self.flush()
        rows = self._execute(
            "SELECT path, kind, mode, size, digest, target FROM entry "
            "WHERE kept IS NULL ORDER BY id"
        )
        while True:
            with _as_os_error():
                row = rows.fetchone()
            if row is None:
                return
            path, kind, mode, size, digest, target = row
            yield Entry(
                path=decoded(path),
                kind=Kind(kind),
                mode=mode,
                size=size,
                sha256=None if digest is None else digest.hex(),
                target=None if target is None else decoded(target),
            )

    def _add(
        self, row: tuple[bytes, str, int, int, bytes | None, bytes | None, int, int | None]
    ) -> None:
        self._last += 1
        self._pending.append((self._last, *row))
        if len(self._pending) >= _BATCH:
            self.flush()

    def _count(self, path: str, *, files: int = 0, size: int = 0) -> None:
        self.totals = self.totals.plus(files, size)
        self._tally.add(path, files=files, size=size)

    def _execute(self, statement: str, *values: bytes | str | int) -> sqlite3.Cursor:
        assert self._database is not None, "a ledger is used between `begin` and `close`"
        with _as_os_error():
            return self._database.execute(statement, values)


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
        code = errno.ENOSPC if full else errno.EIO
        what = "the list of its members, which is a temporary file"
        raise OSError(code, f"{os.strerror(code)}, for {what}") from error


class Ledgers(ExitStack):
    """Closes the ledgers that it gave out when it is left."""

    def new(self, tally: Tally | None = None) -> Ledger:
        """Give out a ledger, not begun."""
        return self.enter_context(closing(Ledger(tally)))
