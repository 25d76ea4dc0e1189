"""Places below a directory that was open before anybody could exchange a part of the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.artifacts.place import below
from barasync.artifacts.rename import Name, exchange, move


def test_a_place_is_reached_by_directories_that_are_made(tmp_path: Path) -> None:
    with (
        below(tmp_path / "a/b") as root,
        (root / "c/d").parent(make=True) as (directory, name),
    ):
        assert name == "d"
        assert Path(f"/proc/self/fd/{directory}").readlink() == tmp_path / "a/b/c"
        assert (root / "c" / "d").path == tmp_path / "a/b/c/d"


def test_a_link_that_was_there_before_is_followed_and_a_later_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    with below(tmp_path / "link") as root:
        (tmp_path / "real/x").symlink_to(tmp_path)
        with pytest.raises(NotADirectoryError), (root / "x/y").parent(make=True):
            pass
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to(tmp_path)
        with (root / "z/y").parent(make=True):
            pass

    assert (tmp_path / "real/z").is_dir()


@pytest.mark.parametrize("kind", ["file", "directory", "link", "nothing"])
def test_what_is_at_a_place_is_removed_and_nothing_behind_a_link(tmp_path: Path, kind: str) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    place = tmp_path / "at"
    if kind == "file":
        place.touch()
    elif kind == "directory":
        (place / "deep").mkdir(parents=True)
        (place / "deep/link").symlink_to(tmp_path / "kept")
    elif kind == "link":
        place.symlink_to("kept")

    with below(tmp_path) as root:
        (root / "at").remove()
        (root / "none/at").remove()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]
    assert (tmp_path / "kept/file").exists()


def test_nothing_is_removed_behind_a_link_that_came_into_the_way(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "way").symlink_to("kept")

    with below(tmp_path) as root, pytest.raises(NotADirectoryError):
        (root / "way/file").remove()

    assert (tmp_path / "kept/file").exists()


def test_a_rename_onto_something_is_refused_and_an_exchange_has_both(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).write_text(name)
    with below(tmp_path) as root:
        one, other = Name(root.root, "one"), Name(root.root, "other")
        with pytest.raises(FileExistsError):
            move(one, other)
        with pytest.raises(FileNotFoundError):
            exchange(one, Name(root.root, "none"))

        assert exchange(one, other)
        assert (tmp_path / "one").read_text() == "other"
        move(one, Name(root.root, "none"))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["none", "other"]
