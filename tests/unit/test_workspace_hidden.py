"""Which files of a project something that is mounted in the workspace hides."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.workspace.hidden import hidden_file
from barasync.workspace.scan import scan


@pytest.mark.parametrize(
    ("destination", "hidden"),
    [
        ("/workspace/src", "src/lib/code"),
        ("/workspace/src/lib/code", "src/lib/code"),
        ("/workspace/src/link", "src/link"),
        ("/workspace/src/li", None),
        ("/workspace/target", None),
        ("/workspace/new", None),
        ("/src", None),
    ],
)
def test_files_below_a_place_are_hidden_but_for_those_that_only_keep_a_directory(
    destination: str, hidden: str | None, tmp_path: Path
) -> None:
    (tmp_path / "src/lib").mkdir(parents=True)
    (tmp_path / "src/lib/code").touch()
    (tmp_path / "src/link").symlink_to("lib")
    (tmp_path / "target").mkdir()
    (tmp_path / "target/.gitkeep").touch()

    assert hidden_file(scan(tmp_path).entries, destination) == hidden
