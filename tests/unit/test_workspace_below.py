"""The way to what lies below a directory: no link on it, and few directories open."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from barasync.workspace import below as module
from barasync.workspace.below import Below

DEEP = 100


def deep(root: Path, depth: int = DEEP) -> Path:
    """Make a directory in a directory, and so on: `0/1/2`, each with a file `name`."""
    for number in range(depth):
        root /= str(number)
        root.mkdir(parents=True)
        (root / "name").write_text(str(number))
    return root


def below_path(depth: int) -> str:
    return "/".join(map(str, range(depth)))


def read(below: Below, path: str) -> str:
    directory, name = below.place(path)
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=directory), encoding="utf-8") as file:
        return file.read()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 the number is wanted


def test_what_is_asked_for_in_any_order_is_found(tmp_path: Path) -> None:
    deep(tmp_path)
    (tmp_path / "name").write_text("root")
    (tmp_path / "0/other").mkdir()
    (tmp_path / "0/other/name").write_text("other")
    order = [*range(1, DEEP + 1), 3, DEEP, 50, 49, 48, 51, 90, 1, 16, 17, 18]

    with Below(tmp_path) as below:
        for depth in order:
            assert read(below, f"{below_path(depth)}/name") == str(depth - 1)
            assert read(below, "0/other/name") == "other"
            assert read(below, f"{below_path(depth)}/name") == str(depth - 1)
            assert read(below, "name") == "root"


def test_few_directories_are_open_however_deep_the_tree_is(tmp_path: Path) -> None:
    deep(tmp_path)
    before = descriptors()

    with Below(tmp_path) as below:
        for depth in range(DEEP + 1):
            below.directory(below_path(depth))
            assert descriptors() <= before + module._KEPT + 1
        assert descriptors() == before + module._KEPT + 1
    assert descriptors() == before


def test_a_tree_in_its_order_opens_each_directory_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep(tmp_path, 10)
    opened: list[str] = []
    really = os.open

    def counted(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        opened.append(path)
        return really(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", counted)
    with Below(tmp_path) as below:
        for depth in range(11):
            below.directory(below_path(depth))
        below.directory(below_path(8))

    assert opened == [tmp_path, *map(str, range(10))]


def test_the_root_may_be_a_link_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").write_text("a")
    (tmp_path / "l").symlink_to("d")

    with Below(tmp_path / "l") as linked, Below(tmp_path / "d/a") as file:
        assert read(linked, "a") == "a"
        assert read(file, "") == "a"
        with pytest.raises(NotADirectoryError):
            file.place("a")


@pytest.mark.parametrize("path", ["l", "l/a", "d/l/a", "d/a/b"])
def test_a_link_on_the_way_is_an_error_and_the_next_path_is_found(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").write_text("a")
    (tmp_path / "l").symlink_to("d")
    (tmp_path / "d/l").symlink_to(".")
    before = descriptors()

    with Below(tmp_path) as below:
        with pytest.raises(OSError) as caught:  # noqa: PT011 either error says it
            below.directory(path)
        assert caught.value.errno in {errno.ENOTDIR, errno.ELOOP}
        assert read(below, "d/a") == "a"
    assert descriptors() == before


def test_a_path_that_no_program_could_use_is_refused(tmp_path: Path) -> None:
    with Below(tmp_path) as below, pytest.raises(OSError, match="name too long"):
        below.directory("d/" * 2100 + "d")
