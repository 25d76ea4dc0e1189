"""Which files of a project something that is mounted in the workspace hides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from barasync.cli.preparation import look_at_hidden
from barasync.config.schema import WorkspaceMode
from barasync.errors import ConfigError
from barasync.matrix.plan import Plan
from barasync.workspace.hidden import hidden_file
from barasync.workspace.scan import scan
from barasync.workspace.tree import Tree
from tests.unit import world


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


def project(tmp_path: Path) -> Tree:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/code").touch()
    return scan(tmp_path)


def plan(*settings: dict[str, tuple[str, ...]]) -> Plan:
    cells = (
        replace(
            world.cell(f"c{number}", workspace=WorkspaceMode.LAYER, **each),
            provenance={"caches": "--cache"},
        )
        for number, each in enumerate(settings)
    )
    return Plan(rule="tests", args=(), cells=tuple(cells))


VOLUME = {"volumes": ("/host:/workspace/src",)}
CACHE = {"caches": ("c:/workspace/src",)}


@pytest.mark.parametrize("settings", [(CACHE,), (VOLUME, CACHE), (CACHE, VOLUME)])
def test_a_cache_over_files_is_refused_whatever_other_cells_have_there(
    settings: tuple[dict[str, tuple[str, ...]], ...], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="a cache at /workspace/src hides the project's src/code"):
        look_at_hidden(plan(*settings), project(tmp_path), lambda _: None)


def test_a_volume_over_files_is_told_once(tmp_path: Path) -> None:
    told: list[str] = []

    look_at_hidden(plan(VOLUME, VOLUME), project(tmp_path), told.append)

    assert told == ["note: a volume at /workspace/src hides the project's src/code"]
