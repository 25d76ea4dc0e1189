"""Writes the archives of the unit tests into a directory, as inputs to begin with."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz.archives import ROOTED
from tests.unit.test_corpus import CASES

SEED_BYTES = 16 << 10

if __name__ == "__main__":
    for number, case in enumerate(CASES.values()):
        archive = case.archive(Path("/aim"))[:SEED_BYTES]
        for options in (0, ROOTED):
            name = f"seed-{number:03}-{options}"
            Path(sys.argv[1], name).write_bytes(bytes([options]) + archive)
