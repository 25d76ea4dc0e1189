"""Archives built byte by byte, for the tests of what reads them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from barasync.artifacts.budget import Share
from barasync.artifacts.extract import Limits
from barasync.artifacts.manifest import Entry, Manifest
from barasync.artifacts.selection import Selection
from tests.rig.extraction import extracted

LIMITS = Limits()


END = bytes(1024)


SENTINEL = "sentinel"


Packed = tuple[tarfile.TarInfo, bytes]


def member(
    name: str,
    data: bytes = b"",
    *,
    type: bytes = tarfile.REGTYPE,  # noqa: A002 tar's word
    mode: int = 0o644,
    link: str = "",
    mtime: int = 0,
    pax: dict[str, str] | None = None,
) -> Packed:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.mtime = type, mode, link, mtime
    info.size = len(data)
    info.pax_headers = pax or {}
    return info, data


def directory(name: str, mode: int = 0o755) -> Packed:
    return member(name, type=tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> Packed:
    return member(name, type=tarfile.SYMTYPE, link=target)


def hard_link(name: str, target: str) -> Packed:
    return member(name, type=tarfile.LNKTYPE, link=target)


def block(info: tarfile.TarInfo, data: bytes = b"") -> bytes:
    """Return one member without the marker behind it, as it stands in an archive."""
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + padded(data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pack(*members: Packed) -> bytes:
    return b"".join(block(info, data) for info, data in members) + END


def raw(
    name: bytes,
    *,
    type: bytes = b"0",  # noqa: A002 tar's word
    size: bytes = b"00000000000\0",
    tail: bytes = b"",
) -> bytes:
    """Return a header block with any bytes in its fields and a right checksum."""
    header = bytearray(512)
    header[: len(name)] = name
    header[100:108] = b"0000644\0"
    header[124 : 124 + len(size)] = size
    header[136:148] = b"00000000000\0"
    header[148:156] = b" " * 8
    header[156:157] = type
    header[257:265] = b"ustar  \0" if type == b"S" else b"ustar\x0000"
    if tail:
        header[386 : 386 + len(tail)] = tail
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def pax_header(payload: bytes, type: bytes = b"x") -> bytes:  # noqa: A002 tar's word
    return raw(b"pax", type=type, size=b"%011o\0" % len(payload)) + padded(payload)


def record(keyword: bytes, value: bytes) -> bytes:
    body = b" " + keyword + b"=" + value + b"\n"
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def reader(archive: bytes, step: int = 1 << 20) -> Callable[[int], bytes]:
    source = io.BytesIO(archive)
    return lambda size: source.read(min(size, step))


def unpack(
    archive: bytes,
    into: Path,
    limits: Limits = LIMITS,
    *,
    share: Share | None = None,
    selection: Selection | None = None,
    **how: bool,
) -> Manifest:
    return extracted(reader(archive), into, limits, share=share, selection=selection, **how)


def entries(manifest: Manifest) -> dict[str, Entry]:
    return {entry.path: entry for entry in manifest.entries}


def reasons(manifest: Manifest) -> dict[str, str]:
    return {refusal.path: refusal.reason for refusal in manifest.refused}


@contextmanager
def sandbox(directory: Path) -> Iterator[Path]:
    """Yield a path to extract to; afterwards nothing but that path may have changed."""
    outside, inside = directory / "outside", directory / "inside"
    outside.mkdir()
    (outside / SENTINEL).write_text("untouched")
    inside.mkdir()
    yield inside / "out"
    assert names(directory) == ["inside", "outside"]
    assert names(outside) == [SENTINEL]
    assert (outside / SENTINEL).read_text() == "untouched"
    assert set(names(inside)) <= {"out"}, "a staging directory was left behind"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
