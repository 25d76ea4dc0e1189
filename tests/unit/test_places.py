"""Where a download goes, what is no place for one, and files that appear when they are whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from barasync.cli.places import place_for, whole_file
from barasync.errors import ConfigError


@pytest.fixture(params=["unnamed", "named"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place on a file system with files that have no name, and on one without."""
    if request.param == "named":
        really = os.open

        def refusing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return really(path, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", refusing)
    return tmp_path / "place"


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


@pytest.mark.parametrize("before", [None, "old"])
def test_the_file_is_there_after_the_block_with_the_permissions_of_a_new_one(
    place: Path, before: str | None
) -> None:
    if before is not None:
        place.write_text(before)

    with whole_file(place) as descriptor:
        os.write(descriptor, b"new")
        meanwhile = place.read_text() if before is not None else None

    assert meanwhile == before
    assert contents(place.parent) == {"place": "new"}
    usual = place.with_name("usual")
    usual.touch()
    assert place.stat().st_mode == usual.stat().st_mode


def test_nothing_is_left_of_a_block_that_fails(place: Path) -> None:
    place.write_text("old")

    def interrupted() -> None:
        with whole_file(place) as descriptor:
            os.write(descriptor, b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert contents(place.parent) == {"place": "old"}


def test_nothing_is_left_where_the_place_is_taken_by_a_directory(place: Path) -> None:
    with pytest.raises(OSError, match="directory"), whole_file(place):
        place.mkdir()

    assert [path.name for path in place.parent.iterdir()] == ["place"]


def test_nothing_is_left_of_a_process_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from barasync.cli.places import whole_file

with whole_file(Path({str(tmp_path / "place")!r})) as descriptor:
    os.write(descriptor, b"new")
    os.kill(os.getpid(), signal.SIGKILL)
"""

    done = subprocess.run([sys.executable, "-c", program], check=False, stdin=subprocess.DEVNULL)

    assert done.returncode == -9
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("destination", "place"),
    [("new", "new"), ("new/", "new/app"), ("dir", "dir/app"), ("a/b/c", "a/b/c"), (".", "app")],
)
def test_a_directory_gets_it_under_its_own_name(
    destination: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()

    assert place_for("/opt/app", destination) == Path(place)


@pytest.mark.parametrize(
    ("destination", "said"),
    [
        ("", "a place has a name"),
        ("file", "file exists already"),
        ("dangling", "dangling exists already"),
        ("dir", "dir/app exists already"),
        ("file/", "/file is not a directory"),
        ("file/x", "/file is not a directory"),
        ("dangling/x", "/dangling is not a directory"),
        ("a" * 300, "cannot be looked at: File name too long"),
        ("loop/x", "cannot be looked at: Too many levels of symbolic links"),
    ],
)
def test_what_is_no_place_is_refused_with_the_reason(
    destination: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "dir/app").mkdir(parents=True)
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(ConfigError) as caught:
        place_for("/opt/app", destination)

    assert said in str(caught.value)
