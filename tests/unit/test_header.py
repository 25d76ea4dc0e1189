"""The header block of a tar archive, held against the standard library's reading of it."""

from __future__ import annotations

import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barasync.artifacts.errors import ArchiveError
from barasync.artifacts.header import decode, natural, number
from tests.unit.archives import raw
from tests.unit.corpus_names import with_prefix

TYPES = [getattr(tarfile, name) for name in ("REGTYPE", "DIRTYPE", "SYMTYPE", "LNKTYPE", "CHRTYPE")]
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT]
PARTS = st.binary(min_size=1, max_size=40).filter(lambda part: not {0, ord("/")} & set(part))
PATHS = st.lists(PARTS, min_size=1, max_size=5).map(b"/".join)


def summed(block: bytearray, *, signed: bool = False) -> bytes:
    block[148:156] = b" " * 8
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


@given(
    names=st.tuples(PATHS, PARTS),
    kind=st.sampled_from(TYPES),
    form=st.sampled_from(FORMATS),
    size=st.integers(0, 1 << 60),
    mode_and_time=st.tuples(st.integers(0, 0o7777), st.integers(-(1 << 40), 1 << 40)),
)
def test_a_header_is_read_as_the_standard_library_wrote_it(
    names: tuple[bytes, bytes], kind: bytes, form: int, size: int, mode_and_time: tuple[int, int]
) -> None:
    name, target = (part.decode("utf-8", "surrogateescape") for part in names)
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    info.mode, info.mtime = mode_and_time
    try:
        block = info.tobuf(form, "utf-8", "surrogateescape")[-512:]
    except ValueError:
        return  # the format holds no such name or number
    expected = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")

    header = decode(block)

    assert header == (
        expected.name,
        expected.type,
        expected.size,
        expected.mode,
        expected.mtime,
        expected.linkname,
    )


@given(block=st.binary(min_size=512, max_size=512))
def test_any_block_is_a_header_or_an_archive_error(block: bytes) -> None:
    try:
        header = decode(summed(bytearray(block)))
    except ArchiveError:
        return
    assert header.size >= 0


@pytest.mark.parametrize("position", [0, 100, 148, 257, 511])
def test_a_changed_byte_breaks_the_checksum(position: int) -> None:
    block = bytearray(raw(b"name"))
    block[position] ^= 1

    with pytest.raises(ArchiveError, match="not a tar header"):
        decode(bytes(block))


def test_the_checksum_of_signed_bytes_is_one_too() -> None:
    block = bytearray(raw(b"caf\xe9"))

    assert decode(summed(block, signed=True)).name == "caf\udce9"


def test_the_sum_of_the_largest_bytes_is_exact() -> None:
    block = bytearray(b"\xff" * 512)
    block[100:136] = b"0" * 36
    block[136:148] = b"0" * 12

    assert decode(summed(block)).size == 0
    block[155] = 0
    block[200] ^= 1
    with pytest.raises(ArchiveError):
        decode(bytes(block))


def test_owners_and_device_numbers_are_not_looked_at() -> None:
    block = bytearray(raw(b"name"))
    block[108:124] = b"zzzzzzzzzzzzzzzz"
    block[265:345] = b"\xff" * 80

    assert decode(summed(block)).name == "name"


def test_only_a_posix_header_has_the_beginning_of_its_name_elsewhere() -> None:
    posix = with_prefix(b"before", b"name")
    gnu = bytearray(posix)
    gnu[257:265] = b"ustar  \0"

    assert decode(posix).name == "before/name"
    assert decode(summed(gnu)).name == "name"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"0000644 ", 0o644),
        (b"   644 \0", 0o644),
        (b"644\0junk", 0o644),
        (b"00000644", 0o644),
        (b"\0" * 8, 0),
        (b"        ", 0),
        (b"\x80\0\0\0\0\0\1\0", 256),
        (b"\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
    ],
)
def test_numbers_are_octal_or_base_256(field: bytes, value: int) -> None:
    assert number(field) == value


@pytest.mark.parametrize(
    "field",
    [b"0000648\0", b"-000644\0", b"0o00644\0", b"00_0644\0", b"06 0644\0", b"\xd9\xa6" * 4],
)
def test_what_is_no_number_is_an_error(field: bytes) -> None:
    with pytest.raises(ArchiveError):
        natural(field)


def test_a_negative_size_is_an_error() -> None:
    with pytest.raises(ArchiveError, match="negative"):
        natural(b"\xff" * 12)
