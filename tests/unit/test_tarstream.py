"""The reader of tar streams: formats, sparse files, limits, and streams that are broken."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from barasync.artifacts.errors import ArchiveError, LimitExceeded, TruncatedArchive
from barasync.artifacts.extract import Limits
from barasync.artifacts.tarstream import parse_pax
from tests.rig.extraction import extracted
from tests.unit.archives import (
    END,
    LIMITS,
    block,
    directory,
    entries,
    member,
    names,
    pack,
    padded,
    pax_header,
    raw,
    reader,
    reasons,
    record,
    symlink,
    unpack,
)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 513, 1 << 20])
def test_every_format_is_read_however_the_stream_is_cut(place: Path, form: int, step: int) -> None:
    name = "/".join(["directory"] * 12) + "/file"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, data in (member(name, b"x" * 1300), symlink("l", "directory/" * 8 + "f")):
            tar.addfile(info, io.BytesIO(data))

    manifest = extracted(reader(buffer.getvalue(), step), place, LIMITS)

    assert (place / name).read_bytes() == b"x" * 1300
    assert [entry.path for entry in manifest.entries] == [name, "l"]


def test_names_longer_than_a_header_are_read_from_gnu_and_pax_headers(place: Path) -> None:
    long = "n" * 200
    target = "t" * 200
    for index, form in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
            tar.addfile(member(long, b"x")[0], io.BytesIO(b"x"))
            tar.addfile(symlink("link", target)[0])

        manifest = unpack(buffer.getvalue(), place, replace=index > 0)

        assert set(entries(manifest)) == {long, "link"}
        assert (place / "link").readlink() == Path(target)


def test_a_pax_header_overrides_what_the_header_says(place: Path) -> None:
    payload = record(b"path", "größe".encode()) + record(b"mtime", b"12.5") + record(b"size", b"3")
    unpack(pax_header(payload) + raw(b"short", size=b"00000000001\0") + padded(b"abc") + END, place)

    assert (place / "größe").read_bytes() == b"abc"
    assert (place / "größe").stat().st_mtime_ns == 12_500_000_000


def test_a_global_pax_header_holds_for_what_follows(place: Path) -> None:
    globally = pax_header(record(b"mtime", b"7") + record(b"comment", b"ignored"), b"g")
    unpack(globally + pack(member("a", b"1"), member("b", b"2")), place)

    assert (place / "a").stat().st_mtime == (place / "b").stat().st_mtime == 7


def test_the_oldest_format_spells_a_directory_with_a_slash(place: Path) -> None:
    unpack(raw(b"old/", type=b"\0") + END, place)

    assert (place / "old").is_dir()


def test_a_contiguous_file_is_a_file(place: Path) -> None:
    unpack(pack(member("c", b"x", type=tarfile.CONTTYPE)), place)

    assert (place / "c").read_bytes() == b"x"


def test_times_beyond_the_file_system_are_brought_into_range(place: Path) -> None:
    unpack(pack(member("past", mtime=-5), member("future", mtime=1 << 60)), place)

    assert (place / "past").stat().st_mtime == 0
    assert (place / "future").stat().st_mtime > 1 << 31


def test_a_time_that_is_no_number_is_the_epoch(place: Path) -> None:
    for index, text in enumerate((b"soon", b"nan", b"1e400", b"inf")):
        header = pax_header(record(b"mtime", text))
        unpack(header + raw(b"a") + END, place, replace=index > 0)

        assert (place / "a").stat().st_mtime == 0


def sparse_content(path: Path) -> tuple[int, bytes]:
    return path.stat().st_size, path.read_bytes().replace(b"\0", b"")


def test_gnus_old_sparse_format_is_read(place: Path) -> None:
    slots = b"%011o\0%011o\0" % (1000, 3) + b"%011o\0%011o\0" % (5000, 2)
    tail = slots.ljust(96, b"\0") + b"\0" + b"%011o\0" % 8000
    archive = raw(b"s", type=b"S", size=b"%011o\0" % 5, tail=tail) + padded(b"abcde") + END

    manifest = unpack(archive, place)

    content = (place / "s").read_bytes()
    assert len(content) == 8000
    assert (content[1000:1003], content[5000:5002]) == (b"abc", b"de")
    assert entries(manifest)["s"].sha256 == hashlib.sha256(content).hexdigest()
    assert entries(manifest)["s"].size == 8000


def test_gnus_old_sparse_format_goes_on_in_further_blocks(place: Path) -> None:
    pairs = [(index * 1000, 1) for index in range(20)]
    slots = [b"%011o\0%011o\0" % pair for pair in pairs]
    tail = b"".join(slots[:4]) + b"\1" + b"%011o\0" % 20_000
    extended = b"".join(slots[4:]).ljust(512, b"\0")
    archive = raw(b"s", type=b"S", size=b"%011o\0" % 20, tail=tail) + extended

    unpack(archive + padded(b"y" * 20) + END, place)

    assert sparse_content(place / "s") == (20_000, b"y" * 20)


PAX_SPARSE = {
    "0.0": (
        record(b"GNU.sparse.size", b"9000")
        + record(b"GNU.sparse.numblocks", b"2")
        + record(b"GNU.sparse.offset", b"10")
        + record(b"GNU.sparse.numbytes", b"3")
        + record(b"GNU.sparse.offset", b"8998")
        + record(b"GNU.sparse.numbytes", b"2"),
        b"abcde",
    ),
    "0.1": (
        record(b"GNU.sparse.size", b"9000") + record(b"GNU.sparse.map", b"10,3,8998,2"),
        b"abcde",
    ),
    "1.0": (
        record(b"GNU.sparse.major", b"1")
        + record(b"GNU.sparse.minor", b"0")
        + record(b"GNU.sparse.realsize", b"9000"),
        padded(b"2\n10\n3\n8998\n2\n") + b"abcde",
    ),
}


@pytest.mark.parametrize("version", PAX_SPARSE)
def test_gnus_pax_sparse_formats_are_read(place: Path, version: str) -> None:
    payload, data = PAX_SPARSE[version]
    header = pax_header(payload + record(b"GNU.sparse.name", b"real"))
    archive = header + raw(b"GNUSparseFile.1/x", size=b"%011o\0" % len(data)) + padded(data) + END

    manifest = extracted(reader(archive, 7), place, LIMITS)

    assert [entry.path for entry in manifest.entries] == ["real"]
    content = (place / "real").read_bytes()
    assert (len(content), content[10:13], content[8998:]) == (9000, b"abc", b"de")
    assert content.count(0) == 8995


@pytest.mark.parametrize(
    "listed", [b"0,3,2,2", b"5,3,0,2", b"0,9", b"0,3,9999,2", b"0", b"0,-3", b"a,b", b"0,4"]
)
def test_a_sparse_map_that_cannot_be_is_refused(place: Path, listed: bytes) -> None:
    header = pax_header(record(b"GNU.sparse.size", b"9000") + record(b"GNU.sparse.map", listed))

    with pytest.raises(ArchiveError, match=r"sparse|extension"):
        unpack(header + raw(b"s", size=b"%011o\0" % 5) + padded(b"abcde") + END, place)


@pytest.mark.parametrize("text", [b"", b"9" * 30, b"2\n1\n", b"x\n", b"2\n5\n5\n5\n5\n"])
def test_a_sparse_map_in_the_data_that_cannot_be_is_refused(place: Path, text: bytes) -> None:
    payload, _ = PAX_SPARSE["1.0"]
    data = padded(text)

    with pytest.raises(ArchiveError):
        unpack(pax_header(payload) + raw(b"s", size=b"%011o\0" % len(data)) + data + END, place)


def test_a_sparse_bomb_is_counted_with_its_holes(place: Path) -> None:
    header = pax_header(
        record(b"GNU.sparse.size", b"1000000000000000") + record(b"GNU.sparse.map", b"0,1")
    )

    with pytest.raises(LimitExceeded, match="the files have more than"):
        unpack(header + raw(b"bomb", size=b"%011o\0" % 1) + padded(b"x") + END, place)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(bytes=2999), r"the files have more than 2999 bytes \(`artifacts_size`"),
        (Limits(members=2), "there are more than 2 members"),
    ],
)
def test_an_archive_beyond_the_limits_is_refused_as_a_whole(
    place: Path, limits: Limits, message: str
) -> None:
    archive = pack(*(member(name, b"x" * 1000) for name in "abc"))

    with pytest.raises(LimitExceeded, match=message):
        unpack(archive, place, limits)

    assert not place.exists()


def test_what_is_left_out_does_not_make_an_archive_endless(place: Path) -> None:
    limits = Limits(bytes=10, members=1)
    archive = pack(member("/left-out", bytes(limits.stream_bytes)))

    with pytest.raises(LimitExceeded, match=f"longer than {limits.stream_bytes} bytes"):
        unpack(archive, place, limits)


def test_members_that_are_left_out_count_too(place: Path) -> None:
    with pytest.raises(LimitExceeded):
        unpack(pack(*(member("/x") for _ in range(4))), place, Limits(members=3))


def test_limits_on_paths_concern_the_member_alone(place: Path) -> None:
    limits = Limits(depth=2, path_bytes=9)
    manifest = unpack(pack(member("a/b/c"), member("0123456789"), member("ok")), place, limits)

    assert set(reasons(manifest)) == {"a/b/c", "0123456789"}
    assert set(entries(manifest)) == {"ok"}


@pytest.mark.parametrize("type_flag", [b"x", b"g", b"L", b"K"])
def test_an_extension_header_of_gigabytes_is_not_read(place: Path, type_flag: bytes) -> None:
    with pytest.raises(LimitExceeded, match="extension header"):
        unpack(raw(b"pax", type=type_flag, size=b"77777777777\0") + END, place)


@pytest.mark.parametrize("header", [pax_header(record(b"comment", b"x")), raw(b"l", type=b"L")])
def test_extension_headers_without_end_are_refused(place: Path, header: bytes) -> None:
    with pytest.raises(ArchiveError, match="extension headers before one member"):
        unpack(header * 2000 + pack(member("x")), place)


def test_extension_headers_before_one_member_are_bounded_together(place: Path) -> None:
    header = pax_header(record(b"comment", b"x" * 400_000))
    unpack(header * 2 + pack(member("x")), place)

    with pytest.raises(LimitExceeded, match="extension headers of 1200"):
        unpack(header * 3 + pack(member("x")), place, replace=True)


@pytest.mark.parametrize(
    "part", [b"8 ab=cd\n", b"9 size=1\n", b"8 path=\n", b"23 GNU.sparse.offset=1\n"]
)
def test_the_records_of_a_pax_header_take_no_more_memory_than_they_are_long(
    place: Path, part: bytes
) -> None:
    count = 1_000_000 // len(part)
    archive = pax_header(part * count) + pack(member("x"))
    tracemalloc.start()
    try:
        with suppress(ArchiveError):
            unpack(archive, place)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 6_000_000


def test_a_pax_header_cannot_make_the_parser_slow(place: Path) -> None:
    """CVE-2024-6232: Python 3.11.7 takes 6 s for 80 kB of digits, four times that for twice."""
    for payload in (b"1" * 1_000_000, b"4 a\n" * 200_000, record(b"comment", b"1" * 900_000)):
        archive = pax_header(payload) + pack(member("x"))
        if payload.startswith(b"900"):
            assert set(entries(unpack(archive, place))) == {"x"}
        else:
            with pytest.raises(ArchiveError, match="a record of a pax header"):
                unpack(archive, place)


def test_an_archive_cut_off_anywhere_is_truncated_and_leaves_nothing(place: Path) -> None:
    archive = pack(directory("d"), member("d/f", b"x" * 700), member("ü" * 60, b"y"))

    for length in [*range(0, len(archive), 256), len(archive) - 1]:
        with pytest.raises(TruncatedArchive):
            unpack(archive[:length], place)
        assert not place.exists()


def test_one_block_of_zeroes_is_no_end(place: Path) -> None:
    with pytest.raises(TruncatedArchive):
        unpack(block(*member("f", b"x")) + bytes(512), place)


def test_a_block_of_zeroes_in_the_middle_is_an_error(place: Path) -> None:
    with pytest.raises(ArchiveError, match="a single block of zeroes"):
        unpack(block(*member("f")) + bytes(512) + pack(member("g")), place)


def test_padding_behind_the_end_is_read(place: Path) -> None:
    source = io.BytesIO(pack(member("f")) + bytes(9216))

    extracted(source.read, place, LIMITS)

    assert source.read() == b""


def test_a_stream_that_goes_on_behind_its_end_is_an_error(place: Path) -> None:
    with pytest.raises(ArchiveError, match="goes on after the end"):
        unpack(END + bytes(3 << 20), place)


def test_an_extension_header_in_front_of_the_end_is_an_error(place: Path) -> None:
    with pytest.raises(ArchiveError, match="without a member behind it"):
        unpack(pax_header(record(b"path", b"x")) + END, place)


@pytest.mark.parametrize(
    "archive",
    [
        b"\x1f\x8b" + bytes(2000),
        b"x" * 512 + END,
        raw(b"f")[:148] + b"0000000\0" + raw(b"f")[156:] + END,
        raw(b"f", size=b"\xff" * 12) + END,
        raw(b"f", size=b"99999999999\0") + END,
        raw(b"f", size=b"-0000000001\0") + END,
        raw(b"x", type=b"x", size=b"\xff" * 12) + END,
    ],
    ids=["gzip", "text", "checksum", "negative", "not octal", "minus", "negative extension"],
)
def test_bytes_that_are_no_tar_archive_are_an_error(place: Path, archive: bytes) -> None:
    with pytest.raises(ArchiveError):
        unpack(archive, place)

    assert not place.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"no length",
        b"0 a=b\n",
        b"3 a=b\n",
        b"7 a=b\n",
        b"99 a=b\n",
        b"5 ab\n",
        b"5 =b\n",
        b"-6 a=b\n",
        b"6 a=b ",
        b"123456789012345678901234 a=b\n",
        "٦ a=b\n".encode(),
    ],
)
def test_a_malformed_pax_record_is_an_error(payload: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"pax header|extension header"):
        list(parse_pax(payload))


def test_an_error_in_the_middle_leaves_what_was_there_before(place: Path) -> None:
    unpack(pack(member("old", b"1")), place)

    with pytest.raises(TruncatedArchive):
        unpack(pack(member("new", b"2"))[:-1], place, replace=True)

    assert names(place) == ["old"]


def test_whatever_the_reader_raises_ends_the_extraction_and_leaves_nothing(place: Path) -> None:
    source = io.BytesIO(pack(member("d/f", b"x" * 5000)))

    def read(size: int) -> bytes:
        if source.tell() > 2000:
            raise KeyboardInterrupt
        return source.read(min(size, 700))

    with pytest.raises(KeyboardInterrupt):
        extracted(read, place, LIMITS)
