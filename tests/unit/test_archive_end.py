from __future__ import annotations

import io
import tarfile

import pytest

from barasync.aiopodman.errors import StreamTruncated
from barasync.aiopodman.wire.archive import ArchiveCheck


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = 1000
        tar.addfile(member, io.BytesIO(b"x" * 1000))
    return buffer.getvalue()


@pytest.mark.parametrize("piece", [1, 7, 512, 100_000])
def test_a_whole_archive_passes_through_unchanged(piece: int) -> None:
    data, check = archive(), ArchiveCheck()

    passed = [
        out
        for start in range(0, len(data), piece)
        for out in check.feed(data[start : start + piece])
    ]

    assert b"".join(passed) == data
    assert list(check.finish()) == []


@pytest.mark.parametrize("length", [0, 100, 512, 1024, 1536])
def test_an_archive_without_its_end_marker_is_truncated(length: int) -> None:
    check = ArchiveCheck()
    list(check.feed(archive()[:length]))

    with pytest.raises(StreamTruncated, match=f"ends after {length} bytes without its end marker"):
        check.finish()


def test_zeros_that_do_not_end_at_a_block_are_no_end_marker() -> None:
    check = ArchiveCheck()
    list(check.feed(archive() + b"\0"))

    with pytest.raises(StreamTruncated):
        check.finish()
