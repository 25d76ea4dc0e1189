"""What `barasync clean` says of what it found, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import anyio
import pytest

from barasync.aiopodman import Podman
from barasync.cli.cleaning import clean_caches, exit_code, note_of, note_of_detached, told
from barasync.engine.caches import Caches
from barasync.engine.identity import RUN, Liveness
from barasync.engine.reaper import Fate, Kind, Leftover, Removal
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK
from tests.unit import world
from tests.unit.fake_podman import FakePodman, Script

VOLUME = Leftover(kind=Kind.VOLUME, key="v1", name="v1", run="r1", liveness=Liveness.DEAD)
CONTAINER = Leftover(
    kind=Kind.CONTAINER,
    key="90e4",
    name="barasync-r1-amd64-1",
    run="r1",
    liveness=Liveness.DEAD,
    detail="amd64, running",
)

ONE_OF_EACH = "1 network, 1 volume, 1 secret, 1 layer, 1 build and 1 cgroup"


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


def test_detached_containers_are_told_with_what_removes_them() -> None:
    assert note_of_detached(["a"]) == (
        "1 detached container left alone; `barasync container remove --force a` removes it"
    )
    assert note_of_detached(list("abcdefg")) == (
        "7 detached containers left alone; `barasync container remove --force a b c d e` removes"
        " them; and 2 more, which `barasync container list` shows"
    )


def podman_and_caches(locks: Path) -> tuple[FakePodman, Caches]:
    fake = FakePodman(lambda _cell: Script())
    client = cast("Podman", fake)
    return fake, Caches(client, locks, labels={RUN: "mine"}, judge=lambda _: Liveness.ALIVE)


@pytest.mark.anyio
@pytest.mark.parametrize("uses", ["c:/c", "c:/c:cow"])
async def test_a_cache_that_a_run_has_is_kept_before_a_container_has_it(
    uses: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake, caches = podman_and_caches(tmp_path)
    client = cast("Podman", fake)
    async with caches.held(world.cell("a", caches=(uses,)), "image", tell=pytest.fail):
        (name,) = fake.volumes.present
        assert await clean_caches(client, tmp_path, dry_run=False) == EXIT_OK
        assert list(fake.volumes.present) == [name]
    assert ": kept, in use: a run has its lock\n" in capsys.readouterr().out

    assert await clean_caches(client, tmp_path, dry_run=False) == EXIT_OK
    assert fake.volumes.present == {}
    assert capsys.readouterr().out.endswith(": removed\n")


@pytest.mark.anyio
async def test_a_cache_of_another_user_is_removed_if_podman_does_so(tmp_path: Path) -> None:
    fake, _ = podman_and_caches(tmp_path)
    name = "barasync-cache-c-amd64-0123456789ab-01234567"
    await fake.volumes.create(name, labels={})

    assert await clean_caches(cast("Podman", fake), tmp_path, dry_run=False) == EXIT_OK
    assert fake.volumes.present == {}
    assert [each async for each in anyio.Path(tmp_path).iterdir()] == []


@pytest.mark.anyio
async def test_a_cache_whose_lock_cannot_be_had_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake, caches = podman_and_caches(tmp_path / "locks")
    async with caches.held(world.cell("a", caches=("c:/c",)), "image", tell=pytest.fail):
        pass
    (lock,) = (tmp_path / "locks").glob("*.lock")
    lock.unlink()
    lock.mkdir()

    client = cast("Podman", fake)
    assert await clean_caches(client, tmp_path / "locks", dry_run=False) == EXIT_NOT_PASSED
    assert len(fake.volumes.present) == 1
    assert f": still there: no lock in {tmp_path}/locks: Is a dir" in capsys.readouterr().out
