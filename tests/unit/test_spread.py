"""What is in a directory of a container, put into one that is here: all of it or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.artifacts import publish
from barasync.artifacts.errors import ArchiveError
from barasync.artifacts.rename import Name
from tests.unit.archives import directory, member, names, pack, symlink, unpack

ARCHIVE = pack(
    directory("src"),
    member("src/a", b"new a"),
    directory("src/d"),
    member("src/d/inner", b"new inner"),
    symlink("src/l", "a"),
)
STEPS = pytest.mark.parametrize("exchanges", [True, False])


def contents(place: Path) -> dict[str, str]:
    files = (path for path in sorted(place.rglob("*")) if path.is_file())
    return {str(path.relative_to(place)): path.read_text() for path in files}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "here"


def without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    def exchange(_one: Name, _other: Name) -> bool:
        return False

    monkeypatch.setattr(publish, "exchange", exchange)


@pytest.mark.parametrize("there", [True, False])
def test_what_is_in_it_goes_in_without_its_name_and_what_is_there_stays(
    place: Path, there: bool
) -> None:
    if there:
        (place / "mine").mkdir(parents=True)
        (place / "mine/file").write_text("old")

    manifest = unpack(ARCHIVE, place, rooted=True, spread=True)

    new = {"a": "new a", "d/inner": "new inner", "l": "new a"}
    assert contents(place) == new | ({"mine/file": "old"} if there else {})
    assert (place / "l").readlink() == Path("a")
    assert manifest.totals.files == 2


def test_what_has_a_name_already_is_an_error_and_nothing_goes_in(place: Path) -> None:
    place.mkdir()
    (place / "l").write_text("mine")

    with pytest.raises(FileExistsError) as caught:
        unpack(ARCHIVE, place, rooted=True, spread=True)

    assert caught.value.filename == "l"
    assert contents(place) == {"l": "mine"}


@STEPS
def test_what_has_its_name_is_replaced_whole_if_that_is_asked_for(
    place: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    (place / "a").mkdir(parents=True)
    (place / "a" / "old").write_text("old")
    (place / "d").mkdir()
    (place / "d" / "old").write_text("old")
    (place / "l").symlink_to("/nowhere")
    (place / "other").write_text("stays")
    if not exchanges:
        without_exchange(monkeypatch)

    unpack(ARCHIVE, place, rooted=True, spread=True, replace=True)

    new = {"a": "new a", "d/inner": "new inner", "l": "new a"}
    assert contents(place) == new | {"other": "stays"}
    assert names(place) == ["a", "d", "l", "other"]


@STEPS
@pytest.mark.parametrize("failing", [1, 2, 3])
def test_where_one_cannot_be_put_in_place_those_before_it_are_taken_back(
    place: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool, failing: int
) -> None:
    (place / "a").mkdir(parents=True)
    (place / "a" / "old").write_text("old")
    (place / "l").write_text("old")
    before, calls, move = contents(place), 0, publish.move
    if not exchanges:
        without_exchange(monkeypatch)

    def fails(source: Name, target: Name) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise PermissionError(1, "Operation not permitted")
        move(source, target)

    monkeypatch.setattr(publish, "move", fails)
    with pytest.raises(PermissionError):
        unpack(ARCHIVE, place, rooted=True, spread=True, replace=True)

    assert contents(place) == before
    assert names(place) == ["a", "l"]


def test_a_file_has_nothing_in_it(place: Path) -> None:
    with pytest.raises(ArchiveError, match="not a directory"):
        unpack(pack(member("src", b"x")), place, rooted=True, spread=True)

    assert names(place) == []
