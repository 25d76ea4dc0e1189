"""Deep archives: few descriptors, and few system calls wherever the next member lies."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from barasync.artifacts.errors import LimitExceeded
from barasync.artifacts.extract import Limits
from tests.rig.extraction import extracted
from tests.unit.archives import (
    LIMITS,
    directory,
    hard_link,
    member,
    pack,
    reader,
    unpack,
)

DEEP = "d/" * 98


def watched(archive: bytes, watch: Callable[[], None]) -> Callable[[int], bytes]:
    """Read block by block, and look at something in between."""
    read = reader(archive, 512)

    def watching(size: int) -> bytes:
        watch()
        return read(size)

    return watching


def test_a_deep_archive_keeps_few_descriptors_open(place: Path) -> None:
    counts = []
    archive = pack(
        member(f"a/{DEEP}f"),
        member(f"b/{DEEP}f"),
        *(member(f"a/{'d/' * up}g") for up in reversed(range(98))),
        hard_link(f"a/{DEEP}h", f"b/{DEEP}f"),
    )

    def count() -> None:
        counts.append(len(list(Path("/proc/self/fd").iterdir())))

    manifest = extracted(watched(archive, count), place, LIMITS)

    assert manifest.refused == ()
    assert max(counts) - counts[0] <= 10
    assert (place / f"a/{DEEP}h").samefile(place / f"b/{DEEP}f")
    assert all((place / f"a/{'d/' * up}g").exists() for up in range(98))


@pytest.mark.parametrize("trees", [2, 20])
def test_a_member_in_another_deep_tree_than_the_last_costs_a_few_calls(
    place: Path, monkeypatch: pytest.MonkeyPatch, trees: int
) -> None:
    made = pack(*(member(f"{tree}/{DEEP}f") for tree in range(trees)))
    turns = [member(f"{tree}/{DEEP}{turn}") for turn in range(10) for tree in range(trees)]
    opened: list[object] = []
    counts: list[int] = []
    open_file = os.open
    monkeypatch.setattr(os, "open", lambda *a, **k: opened.append(a) or open_file(*a, **k))

    archive = made[:-1024] + pack(*turns)
    extracted(watched(archive, lambda: counts.append(len(opened))), place, LIMITS)

    assert len(opened) - counts[len(made) // 512] < 3 * len(turns)


def test_directories_that_no_member_names_count_as_members(place: Path) -> None:
    archive = pack(directory("a"), member("a/b/c/f"))

    with pytest.raises(LimitExceeded, match="more than 3 members"):
        unpack(archive, place, Limits(members=3))
    unpack(archive, place, Limits(members=4))


def test_the_archives_own_root_is_none_of_them(place: Path) -> None:
    unpack(pack(member("f")), place, Limits(members=1))
