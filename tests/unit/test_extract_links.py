"""File systems that have no links, or no more of them for a file."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from barasync.artifacts.errors import LimitExceeded
from barasync.artifacts.extract import Limits
from tests.rig.extraction import extracted
from tests.unit.archives import (
    LIMITS,
    block,
    entries,
    hard_link,
    member,
    pack,
    padded,
    pax_header,
    raw,
    reasons,
    record,
    symlink,
    unpack,
)


@pytest.mark.parametrize("code", [errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP])
def test_where_no_link_can_be_made_a_hard_link_is_a_copy(
    place: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """EMLINK: 65,000 links on ext4; the others: vfat, SMB."""
    sparse = record(b"GNU.sparse.size", b"3000000") + record(b"GNU.sparse.map", b"1000000,3")
    archive = pack(
        member("f", b"x" * 3_000_000, mode=0o750, mtime=77),
        hard_link("d/f", "f"),
        hard_link("d/f2", "d/f"),
        hard_link("f", "d/f"),
    )
    hole = pax_header(sparse) + raw(b"s", size=b"00000000003\0") + padded(b"abc")
    monkeypatch.setattr(os, "link", failing(code))

    manifest = unpack(hole + block(*hard_link("s2", "s")) + archive, place)

    assert reasons(manifest) == {"f": "another member has this name"}
    assert (place / "d/f").read_bytes() == (place / "d/f2").read_bytes() == b"x" * 3_000_000
    assert (place / "s2").read_bytes() == (place / "s").read_bytes()
    assert (place / "s2").stat().st_blocks == (place / "s").stat().st_blocks
    for name in ("d/f", "d/f2"):
        assert not (place / name).samefile(place / "f")
        assert stat.S_IMODE((place / name).stat().st_mode) == 0o750
        assert (place / name).stat().st_mtime == 77
    assert entries(manifest)["d/f2"].sha256 == entries(manifest)["f"].sha256


def test_copies_count_against_the_limit_of_bytes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(member("f", b"x" * 10), hard_link("g", "f"))
    unpack(archive, place, Limits(bytes=19))
    monkeypatch.setattr(os, "link", failing(errno.EPERM))

    with pytest.raises(LimitExceeded, match="more than 19 bytes"):
        unpack(archive, place, Limits(bytes=19), replace=True)
    unpack(archive, place, Limits(bytes=20), replace=True)


def test_a_copy_can_be_cancelled(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = io.BytesIO(pack(member("f", b"x" * 4_000_000), hard_link("g", "f")))
    monkeypatch.setattr(os, "link", failing(errno.EPERM))

    def read(size: int) -> bytes:
        if not size:
            raise InterruptedError
        return source.read(size)

    with pytest.raises(InterruptedError):
        extracted(read, place, LIMITS)

    assert not place.exists()


def test_where_there_are_no_symbolic_links_they_alone_are_left_out(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "symlink", failing(errno.EPERM))

    manifest = unpack(pack(member("f"), symlink("l", "f"), member("g")), place)

    assert reasons(manifest) == {"l": "this file system has no symbolic links"}
    assert set(entries(manifest)) == {"f", "g"}


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail
