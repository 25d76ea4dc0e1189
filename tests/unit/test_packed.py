"""Tar archives that are files of a container, unpacked out of podman's archive of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from barasync.artifacts.errors import ArchiveError, LimitExceeded, TruncatedArchive
from barasync.artifacts.extract import Limits
from barasync.artifacts.packed import Packed
from tests.rig.extraction import extracted
from tests.unit.archives import (
    LIMITS,
    directory,
    entries,
    member,
    names,
    pack,
    reader,
    reasons,
    sandbox,
    symlink,
    unpack,
)

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
EVERY = pytest.mark.parametrize("kind", COMPRESS)
COMPRESSED = pytest.mark.parametrize("kind", [kind for kind in COMPRESS if kind != "plain"])
CONTENT = bytes(range(256)) * 1200
INNER = pack(directory("d"), member("d/file", CONTENT, mode=0o755), symlink("d/link", "file"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with sandbox(tmp_path) as inside:
        yield inside


def sent(archive: bytes, name: str = "x.tar") -> bytes:
    """What podman sends of a file."""
    return pack(member(name, archive))


def unpacked(archive: bytes, place: Path, *, step: int = 1 << 20, limits: Limits = LIMITS) -> None:
    extracted(reader(archive, step), place, limits, packed=True, spread=True)


@EVERY
@pytest.mark.parametrize("step", [1, 511, 4096, 1 << 20])
def test_the_members_of_the_archive_arrive_however_the_stream_is_cut(
    place: Path, kind: str, step: int
) -> None:
    inner = INNER if step > 1 else pack(directory("d"), member("d/file", b"x" * 3000))
    unpacked(sent(COMPRESS[kind](inner)), place, step=step)

    assert names(place) == ["d"]
    assert (place / "d/file").read_bytes() == (CONTENT if step > 1 else b"x" * 3000)
    if step > 1:
        assert (place / "d/file").stat().st_mode & 0o777 == 0o755
        assert (place / "d/link").readlink() == Path("file")


@EVERY
def test_what_could_do_harm_is_left_out_of_it_as_of_any_archive(place: Path, kind: str) -> None:
    inner = pack(member("../x", b"x"), member("/etc/y", b"y"), member("z"), symlink("l", "/etc"))

    manifest = unpack(sent(COMPRESS[kind](inner)), place, packed=True, spread=True)

    assert names(place) == ["z"]
    assert set(reasons(manifest)) == {"../x", "/etc/y", "l"}
    assert set(entries(manifest)) >= {"z"}


@COMPRESSED
@pytest.mark.parametrize("padding", [0, 5, 20_000])
def test_several_compressed_streams_are_one_and_zeroes_behind_them_are_padding(
    place: Path, kind: str, padding: int
) -> None:
    compress = COMPRESS[kind]
    parts = [compress(INNER[start : start + 100_000]) for start in range(0, len(INNER), 100_000)]

    unpacked(sent(b"".join(parts) + bytes(padding)), place)

    assert (place / "d/file").read_bytes() == CONTENT


def test_an_archive_of_nothing_leaves_an_empty_directory(place: Path) -> None:
    unpacked(sent(gzip.compress(pack())), place)

    assert names(place) == []


@EVERY
@pytest.mark.parametrize("left", [0.0, 0.1, 0.9, 0.999])
def test_one_that_is_cut_off_in_the_container_is_said_to_be_that_and_leaves_nothing(
    place: Path, kind: str, left: float
) -> None:
    archive = COMPRESS[kind](INNER)
    cut = archive[: int(len(archive) * left)]

    with pytest.raises(ArchiveError, match=r"cut off before its end|it is empty") as caught:
        unpacked(sent(cut), place)

    assert not isinstance(caught.value, TruncatedArchive)
    assert names(place) == []


@EVERY
def test_one_that_podman_cuts_off_anywhere_is_truncated(place: Path, kind: str) -> None:
    archive = sent(COMPRESS[kind](pack(member("a", CONTENT[:5000]))))

    for end in range(0, len(archive) - 1, 397):
        with pytest.raises(TruncatedArchive):
            unpacked(archive[:end], place)

    assert names(place) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"text that is no archive", "not a tar header|cut off"),
        (b"text" * 1000, "not a tar header"),
        (gzip.compress(b"text" * 1000), "not a tar header"),
        (b"\x1f\x8b\x08" + b"x" * 600, "its compression is broken"),
        (bz2.compress(INNER)[:-9] + b"x" * 9, "its compression is broken"),
        (lzma.compress(INNER) + b"garbage" * 9, "its compression is broken"),
        (gzip.compress(INNER)[:-8] + bytes(8), "its compression is broken"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 600, "compressed by zstd, which is not understood"),
        (INNER + b"x", "goes on after the end"),
    ],
)
def test_a_file_that_is_no_archive_is_refused_and_leaves_nothing(
    place: Path, content: bytes, said: str
) -> None:
    with pytest.raises(ArchiveError, match=said):
        unpacked(sent(content), place)

    assert names(place) == []


@pytest.mark.parametrize(
    "archive",
    [pack(), pack(directory("d")), pack(member("a", INNER), member("b"))],
    ids=["nothing", "directory", "two files"],
)
def test_what_podman_sends_is_one_file(place: Path, archive: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"no plain file|more than one file"):
        unpacked(archive, place)


@COMPRESSED
def test_a_few_bytes_that_stand_for_many_are_bounded_by_the_limits(place: Path, kind: str) -> None:
    bomb = COMPRESS[kind](pack(member("zeroes", bytes(60 << 20))))
    assert len(bomb) < 100_000

    with pytest.raises(LimitExceeded):
        unpacked(sent(bomb), place, limits=replace(LIMITS, bytes=1 << 20))
    with pytest.raises(ArchiveError):
        unpacked(sent(COMPRESS[kind](bytes(60 << 20))), place)

    assert names(place) == []


@COMPRESSED
def test_no_more_than_a_little_is_held_in_memory(kind: str) -> None:
    archive = sent(COMPRESS[kind](pack(member("zeroes", bytes(40 << 20)))))
    stream = Packed(reader(archive), max_bytes=1 << 30)
    tracemalloc.start()
    try:
        size = sum(len(piece) for _ in stream for piece in stream.data())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size == 40 << 20
    assert peak < 10 << 20


@COMPRESSED
def test_whoever_gives_up_is_heard_while_few_bytes_become_many(place: Path, kind: str) -> None:
    archive = sent(COMPRESS[kind](pack(member("zeroes", bytes(40 << 20)))))
    pauses = 0

    def read(size: int) -> bytes:
        nonlocal pauses, archive
        if not size:
            pauses += 1
            if pauses > 3:
                raise InterruptedError
            return b""
        piece, archive = archive[:size], archive[size:]
        return piece

    with pytest.raises(InterruptedError):
        extracted(read, place, LIMITS, packed=True, spread=True)

    assert names(place) == []


def test_an_xz_archive_may_not_ask_for_any_memory(place: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    archive = lzma.compress(b"x", filters=filters)

    with pytest.raises(ArchiveError, match="its compression is broken: Memory usage limit"):
        unpacked(sent(archive), place)


def test_a_sparse_file_is_refused(place: Path, tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"GNU.sparse.size": "512", "GNU.sparse.map": "0,0"}
    archive = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + bytes(1024)

    with pytest.raises(ArchiveError, match="no plain file"):
        unpacked(archive, place)

    assert names(place) == []
    assert names(tmp_path) == ["inside", "outside"]
