"""Removing what a cell made: as deep as it likes, and while it exchanges what is removed."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync.artifacts.removal import remove

LEVELS = 5000


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    """The directory that everything is in."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def make_deep(directory: int, name: str, levels: int) -> None:
    """Make directories one in the other, with a file in each."""
    opened = os.dup(directory)
    for _ in range(levels):
        os.mkdir(name, dir_fd=opened)
        inner = os.open(name, os.O_RDONLY, dir_fd=opened)
        os.close(opened)
        opened = inner
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=opened))
    os.close(opened)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("few_descriptors")
def test_a_tree_may_be_deeper_than_python_recurses_and_than_files_can_be_open(
    tmp_path: Path, top: int
) -> None:
    make_deep(top, "deep", LEVELS)
    before = descriptors()

    remove("deep", dir_fd=top)

    assert list(tmp_path.iterdir()) == []
    assert descriptors() == before


def test_a_tree_may_have_many_deep_branches(tmp_path: Path, top: int) -> None:
    for path in ("d/" * 9 + str(number) + "/d" * 12 for number in range(30)):
        (tmp_path / path).mkdir(parents=True)

    remove("d", dir_fd=top)

    assert list(tmp_path.iterdir()) == []


def test_nothing_behind_a_link_is_removed(tmp_path: Path, top: int) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "tree/d").mkdir(parents=True)
    for link in ("tree/l", "tree/d/l", "l"):
        (tmp_path / link).symlink_to(tmp_path / "kept")

    remove("tree", dir_fd=top)
    remove("l", dir_fd=top)

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept/file").exists()


@pytest.mark.parametrize("call", ["open", "rmdir"])
def test_a_directory_that_is_exchanged_for_a_link_is_not_followed_and_the_link_goes(
    tmp_path: Path, top: int, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Another process does so before it is opened, or before it is removed as an empty one."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "tree/d/e").mkdir(parents=True)
    original = getattr(os, call)

    def exchanging(name: str, *arguments: int, dir_fd: int) -> object:
        if name == "d" and not (tmp_path / "away").exists():
            (tmp_path / "tree/d").rename(tmp_path / "away")
            (tmp_path / "tree/d").symlink_to(tmp_path / "kept")
        return original(name, *arguments, dir_fd=dir_fd)

    monkeypatch.setattr(os, call, exchanging)
    remove("tree", dir_fd=top)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["away", "kept"]
    assert (tmp_path / "away/e").is_dir()
    assert (tmp_path / "kept/file").exists()


def test_what_a_deep_directory_was_moved_into_meanwhile_is_not_removed(
    tmp_path: Path, top: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From there, the way up would lead elsewhere."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "tree" / ("d/" * 20)).mkdir(parents=True)
    original = os.rmdir
    levels = tmp_path / "tree/d/d/d"

    def moving(name: str, *, dir_fd: int) -> None:
        original(name, dir_fd=dir_fd)
        if levels.exists():
            levels.rename(tmp_path / "kept/d")

    monkeypatch.setattr(os, "rmdir", moving)
    before = descriptors()
    with pytest.raises(OSError, match="another process moved it"):
        remove("tree", dir_fd=top)

    assert (tmp_path / "kept/file").exists()
    assert descriptors() == before


def test_what_cannot_be_removed_stays_alone_and_the_first_reason_is_told(
    tmp_path: Path, top: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = "tree/" + "d/" * 12 + "stuck"
    for path in (stuck, "tree/e/f", "tree/d/d/e/f"):
        (tmp_path / path).mkdir(parents=True)
    for path in (f"{stuck}/a", f"{stuck}/immutable", "tree/d/x"):
        (tmp_path / path).touch()
    original = os.unlink

    def refusing(name: str, *, dir_fd: int) -> None:
        if name == "immutable":
            raise PermissionError(1, "Operation not permitted", name)
        original(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refusing)
    with pytest.raises(PermissionError, match="immutable"):
        remove("tree", dir_fd=top)

    left = [path for path in (tmp_path / "tree").rglob("*") if not path.is_dir()]
    assert left == [tmp_path / stuck / "immutable"]
    assert len(list((tmp_path / "tree").rglob("*"))) == 14


def test_a_file_that_cannot_be_removed_is_told(
    tmp_path: Path, top: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()

    def refusing(name: str, *, dir_fd: int) -> None:  # noqa: ARG001 as it is called
        raise PermissionError(1, "Operation not permitted", name)

    monkeypatch.setattr(os, "unlink", refusing)
    with pytest.raises(PermissionError, match="file"):
        remove("file", dir_fd=top)
    with pytest.raises(FileNotFoundError):
        remove("none", dir_fd=top)


def test_who_never_stops_adding_is_left_alone(
    tmp_path: Path, top: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    original = os.rmdir
    added = 0

    def adding(name: str, *, dir_fd: int) -> None:
        nonlocal added
        added += 1
        (tmp_path / "tree" / str(added)).touch()
        original(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", adding)
    with pytest.raises(OSError, match="not empty"):
        remove("tree", dir_fd=top)

    assert added < 10
