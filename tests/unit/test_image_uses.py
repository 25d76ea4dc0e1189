"""Which images are used now, by locks, and when they were last used, as files."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

from barasync.engine.image_uses import (
    UseFiles,
    forget_uses,
    is_held_by,
    last_uses,
    note_uses,
    unused,
    using,
)

NOW = 1_700_000_000.5
ONE, OTHER, UNKNOWN = (digit * 64 for digit in "1af")


def test_the_last_use_counts(tmp_path: Path) -> None:
    directory = tmp_path / "made/on/demand"
    note_uses(directory, {ONE, OTHER}, NOW)
    note_uses(directory, {ONE}, NOW + 60)

    assert last_uses(directory, (ONE, OTHER, UNKNOWN)) == {ONE: NOW + 60, OTHER: NOW}


def test_nothing_is_known_before_anything_was_noted(tmp_path: Path) -> None:
    assert last_uses(tmp_path / "missing", (ONE,)) == {}


def test_old_uses_are_forgotten(tmp_path: Path) -> None:
    note_uses(tmp_path, {ONE}, NOW)
    note_uses(tmp_path, {OTHER}, NOW + 60)
    forget_uses(tmp_path, NOW + 60)

    assert last_uses(tmp_path, (ONE, OTHER)) == {OTHER: NOW + 60}


def test_what_another_run_forgets_at_the_same_time_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_uses(tmp_path, {ONE}, NOW)
    paths = [tmp_path / OTHER, tmp_path / ONE]
    monkeypatch.setattr(Path, "iterdir", lambda _directory: iter(paths))
    forget_uses(tmp_path, NOW + 60)

    assert not (tmp_path / ONE).exists()


@pytest.mark.parametrize("word", ["../" + "a" * 64, "", ".", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_what_is_no_image_id_names_no_file(tmp_path: Path, word: str) -> None:
    directory = tmp_path / "uses"
    note_uses(directory, {word}, NOW)

    assert list(tmp_path.rglob("*")) == [directory]
    assert last_uses(directory, (word,)) == {}


def test_uses_that_cannot_be_noted_are_an_error_and_unknown(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        note_uses(tmp_path / "file/uses", {ONE}, NOW)
    assert last_uses(tmp_path / "file/uses", (ONE,)) == {}


@pytest.fixture
def files(tmp_path: Path) -> UseFiles:
    return UseFiles(uses=tmp_path / "uses", locks=tmp_path / "locks")


@pytest.mark.anyio
async def test_what_a_run_holds_is_in_use_until_it_ends_and_noted(files: UseFiles) -> None:
    async with using(files, "run1", clock=lambda: NOW) as uses:
        await uses.hold(ONE, OTHER)
        await uses.hold(ONE)
        async with unused(files, {ONE}) as is_unused:
            assert not is_unused
        async with unused(files, {UNKNOWN, OTHER}) as are_unused:
            assert not are_unused
        async with unused(files, {UNKNOWN}) as is_unused:
            assert is_unused

    async with unused(files, {ONE, OTHER}) as are_unused:
        assert are_unused
    noted = await to_thread.run_sync(last_uses, files.uses, (ONE, OTHER, UNKNOWN))
    assert noted == {ONE: NOW, OTHER: NOW}
    assert uses.problems == ()


@pytest.mark.anyio
async def test_who_wants_an_image_that_is_being_removed_waits(files: UseFiles) -> None:
    order = []

    async with anyio.create_task_group() as group, using(files, "r", clock=lambda: NOW) as uses:

        async def wait() -> None:
            await uses.hold(ONE)
            order.append("held")

        async with unused(files, {ONE}):
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            order.append("removed")
        with anyio.fail_after(5):
            while len(order) < 2:
                await anyio.lowlevel.checkpoint()

    assert order == ["removed", "held"]


@pytest.mark.anyio
async def test_an_image_is_unused_whatever_others_of_nearly_its_id_are(files: UseFiles) -> None:
    alike = ONE[:-1] + "2"

    async with using(files, "run1", clock=lambda: NOW) as uses:
        await uses.hold(ONE)
        async with unused(files, {alike}) as is_unused:
            assert is_unused


@pytest.mark.anyio
async def test_however_many_images_are_held_there_is_one_file_of_locks(files: UseFiles) -> None:
    async with using(files, "run1", clock=lambda: NOW) as uses:
        await uses.hold(*(f"{number:064x}" for number in range(50)))

    names = await to_thread.run_sync(lambda: sorted(each.name for each in files.locks.iterdir()))
    assert names == ["images.lock", "processes.lock"]


@pytest.mark.anyio
async def test_a_run_that_lives_here_is_known_to_hold_what_it_uses(files: UseFiles) -> None:
    assert not await is_held_by(files, "run1")
    async with using(files, "run1", clock=lambda: NOW):
        assert await is_held_by(files, "run1")
        assert not await is_held_by(files, "../run1")
    assert not await is_held_by(files, "run1")


@pytest.mark.anyio
async def test_where_there_can_be_no_locks_it_goes_on_and_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files = UseFiles(uses=tmp_path / "file/uses", locks=tmp_path / "file/locks")

    async with using(files, "run1", clock=lambda: NOW) as uses:
        await uses.hold(ONE)
        async with unused(files, {ONE}) as is_unused:
            assert is_unused
        assert not await is_held_by(files, "run1")

    (problem,) = uses.problems
    assert problem.startswith("which images are used could not be noted: ")
