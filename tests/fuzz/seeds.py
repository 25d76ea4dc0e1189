"""Writes the archives of the unit tests into a directory, as inputs to begin with."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz.archives import ROOTED, SELECTED
from tests.unit.archives import directory, hard_link, member, pack, symlink
from tests.unit.test_corpus import CASES

SEED_BYTES = 16 << 10
# As podman makes them: everything lies below one root.
PODMANS = pack(
    directory("out"),
    member("out/f", b"x"),
    member("out/z", b"not wanted"),
    hard_link("out/a", "out/f"),
    hard_link("out/b", "out/z"),
    directory("out/d"),
    member("out/d/e", b"excluded"),
    member("out/sub/c", b"y" * 600),
    symlink("out/sub/l", "../f"),
)

if __name__ == "__main__":
    archives = [case.archive(Path("/aim"))[:SEED_BYTES] for case in CASES.values()]
    for number, archive in enumerate((*archives, PODMANS)):
        for options in (0, ROOTED, ROOTED | SELECTED):
            name = f"seed-{number:03}-{options}"
            Path(sys.argv[1], name).write_bytes(bytes([options]) + archive)
