"""The promise that `script/fuzz` puts to the test: any bytes are an archive or an `ArchiveError`.

An input is one byte of options and the bytes of an archive. Every block that looks like a header
gets the checksum it needs: a fuzzer cannot guess it, and would never see what is behind it.
As a program it runs every input of a directory once, for coverage.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import tempfile
from pathlib import Path

from barasync.artifacts.errors import ArchiveError
from barasync.artifacts.extract import Limits
from barasync.artifacts.manifest import Kind, Manifest
from barasync.artifacts.pattern import Pattern
from barasync.artifacts.selection import Selection
from tests.rig.extraction import extracted

LIMITS = Limits(bytes=1 << 20, members=60, path_bytes=400, depth=10)
ROOTED, STEP, SELECTED = 0x01, 0x06, 0x08
SELECTION = Selection(
    patterns=(Pattern(("**", "[a-m0-9]*")),),
    excluded=(Pattern(("d",)),),
    originals=frozenset({"f"}),
)
STEPS = (1 << 20, 512, 513, 7)
_MEMORY = Path("/dev/shm")  # a disk would be the slowest part by far
_WORK = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
_BASE = Path(_WORK.name)
_AIM = _BASE / "outside"
_DESTINATION = _BASE / "inside" / "out"
_DESTINATION.parent.mkdir()
_AIM.mkdir()
(_AIM / "sentinel").touch()


def with_checksums(archive: bytes) -> bytes:
    """Give a right checksum to every block with a tar archive's magic."""
    blocks = [bytearray(archive[start : start + 512]) for start in range(0, len(archive), 512)]
    for block in blocks:
        if len(block) == 512 and block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
    return b"".join(blocks)


def run(data: bytes) -> None:
    """Extract one input and check what came of it."""
    options = data[0] if data else 0
    source = io.BytesIO(with_checksums(data[1:]))
    step = STEPS[(options & STEP) >> 1]
    rooted = bool(options & ROOTED)
    selection = SELECTION if rooted and options & SELECTED else None
    try:
        manifest = extracted(
            lambda size: source.read(min(size, step)),
            _DESTINATION,
            LIMITS,
            selection=selection,
            rooted=rooted,
            replace=True,
        )
    except ArchiveError:
        pass
    else:
        check(manifest)
    if names(_BASE) != ["inside", "outside"] or names(_AIM) != ["sentinel"]:
        raise AssertionError("something outside the destination changed")
    if not set(names(_DESTINATION.parent)) <= {"out"}:
        raise AssertionError("something beside the destination stayed")


def check(manifest: Manifest) -> None:
    root = os.path.realpath(_DESTINATION)
    for entry in manifest.entries:
        inner = os.fsdecode(entry.path.encode("utf-8", "surrogateescape"))
        path = f"{root}/{inner}".rstrip("/")
        mode = os.lstat(path).st_mode
        if entry.kind is Kind.SYMLINK:
            target = os.path.realpath(path)
            if target != root and not target.startswith(root + "/"):
                raise AssertionError(f"{entry.path!r} leads to {target!r}")
        elif mode & 0o7000 or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise AssertionError(f"{entry.path!r} has mode {mode:o}")


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


if __name__ == "__main__":
    for path in sorted(Path(sys.argv[1]).iterdir()):
        run(path.read_bytes())
