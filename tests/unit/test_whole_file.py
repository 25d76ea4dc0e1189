"""Files that appear when they are whole, and what is left of those that never were."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from barasync import whole_file as module
from barasync.engine.history import Ended, read_history, remember
from barasync.images.programs import Answer, keep_answers, read_answers
from barasync.matrix.outcome import Status
from barasync.whole_file import PARTIAL, partial_name, remove_abandoned, whole_file, write_whole

ANSWER = Answer(image="0" * 64, path=None, name="make", found=True)
ENDED = Ended(rule="tests", cell="amd64", status=Status.PASSED, seconds=2)


def _answers(file: Path) -> bool:
    keep_answers(file, [ANSWER])
    return read_answers(file) == {ANSWER.question: ANSWER}


def _history(file: Path) -> bool:
    remember(file, [ENDED])
    return read_history(file).seconds("tests", "amd64") == 2


written_by = pytest.mark.parametrize("write", [_answers, _history])


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
from barasync.whole_file import whole_file

with whole_file(Path({str(tmp_path / "place")!r})) as descriptor:
    os.write(descriptor, b"new")
    os.kill(os.getpid(), signal.SIGKILL)
"""

    done = subprocess.run([sys.executable, "-c", program], check=False, stdin=subprocess.DEVNULL)

    assert done.returncode == -9
    assert list(tmp_path.iterdir()) == []


def test_a_content_takes_the_place_of_another_in_one_step(place: Path) -> None:
    write_whole(place, b"old")
    write_whole(place, b"new")

    assert contents(place.parent) == {"place": "new"}


def test_a_content_that_has_no_room_leaves_what_was_there(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(place, b"old")

    def full(_descriptor: int, *_options: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdopen", full)
        with pytest.raises(OSError, match="No space left"):
            write_whole(place, b"new")

    assert contents(place.parent) == {"place": "old"}


@written_by
def test_what_a_killed_writer_left_is_removed_and_what_a_live_one_writes_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], bool]
) -> None:
    file, left = tmp_path / "kept.json", tmp_path / partial_name()
    left.touch()

    assert write(file)
    assert set(tmp_path.iterdir()) == {left, file}

    monkeypatch.setattr(module, "YOUNG_SECONDS", -60)
    assert write(file)
    assert list(tmp_path.iterdir()) == [file]


@written_by
def test_a_writer_that_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], bool]
) -> None:
    def interrupted(*_places: str, **_directories: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "kept.json")

    assert list(tmp_path.iterdir()) == []


def test_only_files_of_that_name_are_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / partial_name()
    directory.mkdir()
    for name in ("notes.partial", ".barasync-0123.partial", f"{partial_name()}.txt"):
        (tmp_path / name).touch()
    before = set(tmp_path.iterdir())
    monkeypatch.setattr(module, "YOUNG_SECONDS", -60)

    remove_abandoned(tmp_path)

    assert set(tmp_path.iterdir()) == before
    assert PARTIAL.fullmatch(directory.name)
