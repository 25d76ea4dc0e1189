"""Creates the members of an archive, each relative to an open directory.

A member is created with `O_EXCL`, relative to an open directory that this extraction made
(`directories`). So no link, whether an earlier member or another process made it, can lead a write
elsewhere. Owners are not taken over, set-ID and sticky bits are dropped.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import replace

from barasync.artifacts.budget import Share
from barasync.artifacts.directories import CONTENT, Directories
from barasync.artifacts.duplicate import CREATE, EXCHANGED, duplicate
from barasync.artifacts.errors import (
    ArchiveError,
    LimitExceeded,
    OriginalsLeftOut,
    RefusedMember,
)
from barasync.artifacts.ledger import Ledger, Written
from barasync.artifacts.manifest import Lost, Manifest, Refusal, Totals, printable
from barasync.artifacts.rules import Limits, check_target, encoded, split_path
from barasync.artifacts.selection import Selection
from barasync.artifacts.tarstream import Member, TarStream

_ZEROES = memoryview(bytes(1 << 20))
_LATEST = (1 << 34) * 1_000_000_000 - 1
_LISTED_REFUSALS = 1000
# Their names are held in memory, 2 KiB each at most.
_ORIGINALS = 10_000
_NO_NAMES = frozenset({"", ".", ".."})
# Names that are longer are not compared with patterns: it would take too long.
_LONG = 4096
# So many characters are fewer than 255 bytes, whichever they are.
_SHORT = 63
# Podman makes hard links of regular files alone. Source: buildah, `copier/hardlink_unix.go`.
_FILES = frozenset({tarfile.REGTYPE, tarfile.LNKTYPE})
_UNSUPPORTED = {
    tarfile.CHRTYPE: "it is a character device",
    tarfile.BLKTYPE: "it is a block device",
    tarfile.FIFOTYPE: "it is a named pipe",
}
# What file systems say that have no links, or no more of a file.
_NO_LINK = frozenset({errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
# What a file system says about one name, as opposed to "disk full" and the like.
_ABOUT_THE_NAME = {
    errno.EEXIST: "another member has this name",
    errno.ENOTDIR: "a part of its path is not a directory",
    errno.ELOOP: "a part of its path is a symbolic link",
    errno.ENAMETOOLONG: "its name is too long for this file system",
    errno.EILSEQ: "this file system does not take its name",
    errno.EINVAL: "this file system does not take its name",
}


class Writer:
    """Creates members below `content` in the staging directory; `close` closes what is open."""

    def __init__(
        self,
        staging: int,
        limits: Limits,
        share: Share,
        ledger: Ledger,
        selection: Selection | None = None,
        *,
        rooted: bool,
    ) -> None:
        self._staging = staging
        self._limits = limits
        self._share = share
        self._ledger = ledger
        self._selection = selection
        self._rooted = rooted
        self._root: str | None = None
        self._directories = Directories(staging, ledger, share)
        self._refused: list[Refusal] = []
        self._unlisted = 0
        self._lost: Lost | None = None
        self._kept: set[str] = set()
        self._left_out: set[str] = set()
        # Where the last member was: as the archive spelled it, in parts, and as a path.
        self._last: tuple[str, tuple[str, ...], str] | None = None

    def write(self, stream: TarStream) -> Manifest:
        """Take the members of `stream` that are wanted.

        Raises:
            OriginalsLeftOut: some of them need the bytes of others, which were not kept.
        """
        if not self._rooted:
            self._directories.enter(())
        for member in stream:
            try:
                if self._selection is not None and not self._wants(member, stream, self._selection):
                    continue
                self._share.take(members=1)
                self._add(member, stream)
            except RefusedMember as refusal:
                if self._rooted and not self._ledger.totals.members:
                    # Without its root an archive has no place for the rest.
                    raise ArchiveError(f"{printable(member.name)}: {refusal}") from refusal
                self._refuse(member, str(refusal))
        totals = self._ledger.totals
        if self._rooted and not totals.members:
            raise ArchiveError("the archive is empty")
        if self._left_out:
            raise OriginalsLeftOut(frozenset(self._left_out))
        # Nothing is in place yet: if there is no space for the list, there is none for the archive.
        self._ledger.flush()
        nothing = self._selection is not None and self._selection.patterns and totals.members == 1
        return Manifest(
            entries=() if nothing else self._ledger,  # nothing but the root
            totals=Totals() if nothing else totals,
            refused=tuple(self._refused),
            unlisted=self._unlisted,
            lost=self._lost,
        )

    def close(self) -> None:
        """Close what is open."""
        self._directories.close()

    def _wants(self, member: Member, stream: TarStream, selection: Selection) -> bool:
        """Whether a member is to be added; keeps the bytes of one that only has links that are."""
        try:
            parts, path = self._place(member.name)
        except RefusedMember:
            return self._would_want(member.name, selection)
        if not parts or selection.takes(parts):
            return True
        if member.type == tarfile.DIRTYPE:
            try:
                self._directories.announce(parts, member.mode)
            except OSError as error:
                raise _refusal(error) from error
        is_file = member.type == tarfile.REGTYPE and not member.name.endswith("/")
        if is_file and path in selection.originals and path not in self._kept:
            self._keep(member, stream, path)
        return False

    def _would_want(self, name: str, selection: Selection) -> bool:
        """Whether a member that has no place is to be listed as one that is left out."""
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if self._root is None or not self._root or len(name) > _LONG:
            return True
        return parts[:1] == [self._root] and selection.takes(parts[1:])

    def _add(self, member: Member, stream: TarStream) -> None:
        parts, path = self._place(member.name)
        kind = member.type
        if kind == tarfile.DIRTYPE:
            self._add_directory(member, parts, path)
            return
        if not parts and (not self._rooted or self._ledger.totals.members):
            raise RefusedMember("it is not a directory, but has the name of the archive's root")
        if kind == tarfile.REGTYPE:
            if member.name.endswith("/"):
                raise RefusedMember("it is a file with the name of a directory")
            self._add_file(member, stream, parts, path)
        elif kind == tarfile.SYMTYPE:
            self._add_symlink(member, parts, path)
        elif kind == tarfile.LNKTYPE:
            self._add_hard_link(member, stream, parts, path)
        else:
            raise RefusedMember(_UNSUPPORTED.get(kind, f"its type {kind!r} is unknown"))

    def _refuse(self, member: Member, reason: str) -> None:
        refusal = Refusal(path=printable(member.name), reason=reason)
        if member.type in _FILES:
            lost = self._lost or Lost(files=0, first=refusal)
            self._lost = replace(lost, files=lost.files + 1)
        if len(self._refused) < _LISTED_REFUSALS:
            self._refused.append(refusal)
        else:
            self._unlisted += 1

    def _place(self, name: str) -> tuple[tuple[str, ...], str]:
        """Return where a name is below the destination: its components, and them as a path.

        Archives are in tree order: what lies beside the last member is not looked at twice.
        """
        above, _, last = name.rpartition("/")
        plain = last not in _NO_NAMES and len(last) <= _SHORT and "\0" not in last
        if plain and self._last is not None and self._last[0] == above:
            _, parts, path = self._last
            return (*parts, last), f"{path}/{last}" if path else last
        parts = self._below_root(name)
        path = "/".join(parts)
        # Without anything above it, `x` would look like `/x`.
        roomy = above and len(encoded(above)) < self._limits.path_bytes - 4 * _SHORT
        if plain and parts and roomy:
            self._last = above, parts[:-1], path[: -len(last) - 1]
        return parts, path

    def _below_root(self, name: str) -> tuple[str, ...]:
        if not self._rooted:
            return split_path(name, self._limits)
        if self._root is None and not name.strip("/"):
            # So podman names a volume, and what is in it `/name`, when the container has ended.
            self._root = ""
        if self._root == "":
            if name and not name.startswith("/"):
                raise ArchiveError(f"{printable(name)} does not lie below the archive's root")
            return split_path(name[1:], self._limits) if name.strip("/") else ()
        parts = split_path(name, self._limits)
        if self._root is None:
            if len(parts) != 1:
                raise RefusedMember("it cannot be the root of an archive")
            self._root = parts[0]
        if not parts or parts[0] != self._root:
            raise ArchiveError(
                f"{printable(name)} does not lie below the archive's root {printable(self._root)}"
            )
        return parts[1:]

    def _add_directory(self, member: Member, parts: tuple[str, ...], path: str) -> None:
        try:
            self._directories.enter(parts[:-1])
            try:
                directory = self._directories.enter(parts, named=True)
            except NotADirectoryError as error:
                if self._ledger.made(path) is not None:
                    raise
                raise RefusedMember(_ABOUT_THE_NAME[errno.EEXIST]) from error
            mode = self._directories.give_mode(directory, member.mode)
        except OSError as error:
            raise _refusal(error) from error
        self._ledger.add_directory(path, mode)

    def _add_file(
        self, member: Member, stream: TarStream, parts: tuple[str, ...], path: str
    ) -> None:
        self._share.take(size=member.size)
        directory, name = self._parent(parts)
        try:
            descriptor = os.open(name, CREATE, _mode(member), dir_fd=directory)
        except OSError as error:
            raise _refusal(error) from error
        self._ledger.add_file(self._fill(descriptor, member, stream, path))

    def _keep(self, member: Member, stream: TarStream, path: str) -> None:
        """Write a file that is not wanted beside the content, to be linked to from there."""
        self._share.take(size=member.size, members=1)
        number = len(self._kept)
        descriptor = os.open(_kept_name(number), CREATE, _mode(member), dir_fd=self._staging)
        file = self._fill(descriptor, member, stream, path)
        self._ledger.add_file(file._replace(kept=number))
        self._kept.add(path)

    def _fill(self, descriptor: int, member: Member, stream: TarStream, path: str) -> Written:
        """Write the content of a file that was just created, and close it."""
        try:
            digest = _write_content(descriptor, member, stream)
            status = os.fstat(descriptor)
            # The process's mask may have taken bits away; the owner's are kept.
            mode = status.st_mode & 0o777 | 0o600
            if mode != status.st_mode & 0o777:
                os.fchmod(descriptor, mode)
            modified = member.mtime
            if not 0 <= modified <= _LATEST:
                modified = 0 if modified < 0 else _LATEST
            os.utime(descriptor, ns=(modified, modified))
        finally:
            os.close(descriptor)
        return Written(path, mode, member.size, digest, status.st_ino)

    def _add_symlink(self, member: Member, parts: tuple[str, ...], path: str) -> None:
        check_target(member.target, len(parts) - 1)
        directory, name = self._parent(parts)
        try:
            os.symlink(encoded(member.target), name, dir_fd=directory)
        except OSError as error:
            if error.errno in _NO_LINK:
                raise RefusedMember("this file system has no symbolic links") from error
            raise _refusal(error) from error
        self._ledger.add_symlink(path, member.target)

    def _add_hard_link(
        self, member: Member, stream: TarStream, parts: tuple[str, ...], path: str
    ) -> None:
        original = self._original(member.target)
        directory, source_name = self._place_of(original)
        source_directory = os.dup(directory)
        try:
            source, target = (source_directory, source_name), self._parent(parts)
            try:
                inode = _link(source, target, original.inode)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                self._share.take(size=original.size)
                inode = duplicate(source, target, original.inode, stream.pause)
        except OSError as error:
            raise _refusal(error) from error
        finally:
            os.close(source_directory)
        self._ledger.add_file(original._replace(path=path, inode=inode, kept=None))

    def _place_of(self, original: Written) -> tuple[int, bytes]:
        """Return the open directory of a file that was written, and its name there."""
        if original.kept is not None:
            return self._staging, _kept_name(original.kept)
        return self._parent(tuple(original.path.split("/")) if original.path else ())

    def _original(self, target: str) -> Written:
        """Return the file a hard link shares; only one that this extraction wrote will do."""
        try:
            parts, path = self._place(target)
        except ArchiveError:
            original = None
        else:
            original = self._ledger.file(path)
            if original is None and self._selection is not None:
                self._note_left_out(parts, path, self._selection)
        if original is None:
            raise RefusedMember(
                f"it is a hard link to {printable(target)}, which is no file extracted before it"
            )
        return original

    def _note_left_out(self, parts: tuple[str, ...], path: str, selection: Selection) -> None:
        """Note that the bytes of a file should have been kept, unless that was tried already."""
        known = len(selection.originals) + len(self._left_out)
        if parts and not selection.takes(parts) and path not in selection.originals:
            if known >= _ORIGINALS and path not in self._left_out:
                raise LimitExceeded(
                    f"its members have the bytes of more than {_ORIGINALS} files that the patterns "
                    "do not match; take the whole directory"
                )
            self._left_out.add(path)

    def _parent(self, parts: tuple[str, ...]) -> tuple[int, bytes]:
        """Return the open directory a member belongs into, and its name there."""
        if not parts:
            return self._staging, encoded(CONTENT)
        try:
            return self._directories.enter(parts[:-1]), encoded(parts[-1])
        except OSError as error:
            raise _refusal(error) from error


def _write_content(descriptor: int, member: Member, stream: TarStream) -> bytes:
    """Write a file's bytes and return their SHA-256."""
    digest = hashlib.sha256()
    if member.extents is None:
        for piece in stream.data():
            digest.update(piece)
            _write(descriptor, piece)
        return digest.digest()
    position = 0
    stored = _Exact(stream.data())
    for offset, length in member.extents:
        _hash_hole(digest, offset - position, stream)
        os.lseek(descriptor, offset, os.SEEK_SET)
        for piece in stored.take(length):
            digest.update(piece)
            _write(descriptor, piece)
        position = offset + length
    _hash_hole(digest, member.size - position, stream)
    os.ftruncate(descriptor, member.size)
    return digest.digest()


def _link(source: tuple[int, bytes], target: tuple[int, bytes], inode: int) -> int:
    """Link to a file, each a name in an open directory, and return its inode."""
    os.link(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0], follow_symlinks=False)
    linked = os.stat(target[1], dir_fd=target[0], follow_symlinks=False)
    # It is on the same device, or there could be no link.
    if linked.st_ino != inode:
        os.unlink(target[1], dir_fd=target[0])
        raise RefusedMember(EXCHANGED)
    return inode


class _Exact:
    """Cuts a sequence of pieces anew, by the number of bytes wanted."""

    def __init__(self, pieces: Iterable[memoryview]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def take(self, size: int) -> Iterator[memoryview]:
        while size:
            piece = self._rest or next(self._pieces)
            yield piece[:size]
            self._rest = piece[size:]
            size -= min(size, len(piece))


def _kept_name(number: int) -> bytes:
    return b"original-%d" % number


def _mode(member: Member) -> int:
    return member.mode & 0o777 | 0o600


def _hash_hole(digest: hashlib._Hash, size: int, stream: TarStream) -> None:
    """Hash zeroes. A header of a few bytes stands for any number of them, so there are pauses."""
    while size > 0:
        digest.update(_ZEROES[:size])
        size -= len(_ZEROES)
        stream.pause()


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _refusal(error: OSError) -> Exception:
    """Turn what the file system says about a member's name into a refusal of that member."""
    reason = _ABOUT_THE_NAME.get(error.errno or 0)
    return error if reason is None else RefusedMember(reason)
