"""A small file that is written in one step: whole, and nothing beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from barasync.engine.history import Ended, read_history, remember
from barasync.images.programs import Answer, keep_answers, read_answers
from barasync.matrix.outcome import Status

ANSWER = Answer(image="0" * 64, path=None, name="make", found=True)
ENDED = Ended(rule="tests", cell="amd64", status=Status.PASSED, seconds=2)


def _answers(file: Path) -> bool:
    keep_answers(file, [ANSWER])
    return read_answers(file) == {ANSWER.question: ANSWER}


def _history(file: Path) -> bool:
    remember(file, [ENDED])
    return read_history(file).seconds("tests", "amd64") == 2


written_by = pytest.mark.parametrize("write", [_answers, _history])


@written_by
def test_what_a_killed_writer_left_is_removed_and_what_a_live_one_writes_is_not(
    tmp_path: Path, write: Callable[[Path], bool]
) -> None:
    file, dead, live = (
        tmp_path / name for name in ("kept.json", ".kept.json-0000", ".kept.json-1111")
    )
    dead.touch()
    os.utime(dead, (0, 0))
    live.touch()

    assert write(file)
    assert sorted(tmp_path.iterdir()) == [live, file]


@written_by
def test_a_writer_that_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], bool]
) -> None:
    def interrupted(_path: Path, _target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "kept.json")

    assert list(tmp_path.iterdir()) == []
