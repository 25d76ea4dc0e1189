"""What is known of the programs of images, kept in a file: whole, and nothing beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from barasync.images.programs import Answer, keep_answers, read_answers

ANSWER = Answer(image="0" * 64, path=None, name="make", found=True)


def test_what_a_killed_writer_left_is_removed_and_what_a_live_one_writes_is_not(
    tmp_path: Path,
) -> None:
    file, dead, live = (
        tmp_path / name for name in ("kept.json", ".kept.json-0000", ".kept.json-1111")
    )
    dead.touch()
    os.utime(dead, (0, 0))
    live.touch()

    keep_answers(file, [ANSWER])

    assert read_answers(file) == {ANSWER.question: ANSWER}
    assert sorted(tmp_path.iterdir()) == [live, file]


def test_a_writer_that_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_path: Path, _target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            keep_answers(tmp_path / "kept.json", [ANSWER])

    assert list(tmp_path.iterdir()) == []
