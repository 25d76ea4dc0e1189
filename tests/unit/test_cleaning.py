"""What `barasync clean` says of what it found, and how it ends."""

from __future__ import annotations

import pytest

from barasync.cli.cleaning import exit_code, told
from barasync.engine.identity import Liveness
from barasync.engine.reaper import Fate, Kind, Leftover, Removal

VOLUME = Leftover(kind=Kind.VOLUME, key="v1", name="v1", run="r1", liveness=Liveness.DEAD)
CONTAINER = Leftover(
    kind=Kind.CONTAINER,
    key="90e4",
    name="barasync-r1-amd64-1",
    run="r1",
    liveness=Liveness.DEAD,
    detail="amd64, running",
)


def end(fate: Fate, leftover: Leftover = VOLUME) -> Removal:
    return Removal(leftover=leftover, fate=fate, reason="" if fate is Fate.REMOVED else "a reason")


@pytest.mark.parametrize(
    ("removal", "line"),
    [
        (end(Fate.REMOVED), "volume v1 (run r1): removed"),
        (end(Fate.IN_USE), "volume v1 (run r1): kept, in use: a reason"),
        (
            end(Fate.FAILED, CONTAINER),
            "container barasync-r1-amd64-1 (run r1, amd64, running): still there: a reason",
        ),
    ],
)
def test_a_line_says_kind_name_run_and_what_became_of_it(removal: Removal, line: str) -> None:
    assert told(removal) == line


@pytest.mark.parametrize(
    ("fates", "code"),
    [
        ([], 0),
        ([Fate.REMOVED, Fate.IN_USE], 0),
        ([Fate.REMOVED, Fate.FAILED, Fate.REMOVED], 1),
    ],
)
def test_what_could_not_be_removed_ends_with_1(fates: list[Fate], code: int) -> None:
    assert exit_code(map(end, fates)) == code
