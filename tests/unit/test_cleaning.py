"""What `barasync clean` says of what it found, and how it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barasync.cli.cleaning import exit_code, note_of, told
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

ONE_OF_EACH = "1 network, 1 volume, 1 secret, 1 layer and 1 cgroup"


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


@pytest.mark.parametrize(
    ("dead", "said"),
    [
        ([VOLUME], "1 volume of a dead run is left on this service"),
        (
            [VOLUME, VOLUME],
            "2 volumes of a dead run are left on this service",
        ),
        (
            [
                *(replace(VOLUME, kind=kind) for kind in reversed(Kind)),
                *[replace(CONTAINER, run="r2")] * 2,
            ],
            f"3 containers, {ONE_OF_EACH} of dead runs are left on this service",
        ),
    ],
)
def test_a_note_counts_what_is_left_by_kind(dead: list[Leftover], said: str) -> None:
    assert note_of(dead) == f"{said}; `barasync clean` removes {'it' if len(dead) == 1 else 'them'}"
