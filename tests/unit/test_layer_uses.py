"""When layers were last used, as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.engine.layer_uses import forget_uses, last_uses, note_uses

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
