"""Where a download goes, and what is no place for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.cli.places import place_for
from barasync.errors import ConfigError


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
