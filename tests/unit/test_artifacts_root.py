"""The place for artifacts of a run, cleared of what earlier runs left."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from anyio import from_thread

from barasync.artifacts.place import Place
from barasync.cli.artifacts_root import artifacts_root
from tests.unit.world import cell

pytestmark = pytest.mark.anyio

CELLS = tuple(cell(name, artifacts=("out", "/x/*.log")) for name in "ab")


def left(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.glob("*/*"))


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Artifacts of the cells, something else beside them, and those of another cell."""
    for name in ("a/out", "a/x", "a/mine", "b/out", "c/out"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    return tmp_path


async def test_what_an_earlier_run_left_of_the_cells_is_removed_and_nothing_else(
    earlier: Path,
) -> None:
    async with artifacts_root(earlier, CELLS) as root:
        assert root.path == earlier

    assert left(earlier) == ["a/mine", "c/out"]


async def test_a_cancellation_ends_the_removal_after_one_place(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Place.remove

    def remove_and_cancel(place: Place) -> None:
        remove(place)
        from_thread.run_sync(scope.cancel)

    monkeypatch.setattr(Place, "remove", remove_and_cancel)

    with anyio.CancelScope() as scope:
        async with artifacts_root(earlier, CELLS):
            pytest.fail("it was cancelled")

    assert left(earlier) == ["a/mine", "a/x", "b/out", "c/out"]
