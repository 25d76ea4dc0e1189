"""Extracts an archive of many empty files, and says how much memory that took at its peak."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from barasync.artifacts.extract import Limits, extract
from barasync.artifacts.ledger import Ledger
from barasync.artifacts.place import below
from tests.rig.memory import peak_memory
from tests.unit.archives import END, block, directory, member

A_DIRECTORY = 1000


def archive(count: int) -> Iterator[bytes]:
    """Give the archive of a tree, block by block."""
    yield block(*directory("root"))
    for number in range(count):
        inner = f"root/{number // A_DIRECTORY:05}"
        if number % A_DIRECTORY == 0:
            yield block(*directory(inner))
        yield block(*member(f"{inner}/a-file-with-a-name-of-usual-length-{number:07}.txt", b""))
    yield END


def main() -> None:
    count, place = int(sys.argv[1]), sys.argv[2]
    with (
        tempfile.TemporaryDirectory(dir=place) as name,
        below(Path(name)) as root,
        closing(Ledger()) as ledger,
    ):
        blocks = archive(count)
        idle = peak_memory(os.getpid())
        reading = nullcontext(lambda _: next(blocks, b""))
        manifest = extract(lambda: reading, root / "out", Limits(), ledger, rooted=True)
        listed = sum(1 for _ in manifest.entries)
        assert listed == manifest.totals.members, listed
        peak = peak_memory(os.getpid())
    said = {"files": manifest.totals.files, "idle": idle, "peak": peak}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
