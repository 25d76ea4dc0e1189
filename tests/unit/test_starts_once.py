"""The file without which a container that goes on does not start again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from barasync.engine.identity import Identity, name_of
from barasync.engine.starts_once import remove_marks

ME = Identity(host="host", boot="b1", namespace="4026531836", pid=100, start=5000)
PREFIX = "barasync-starts-only-once-under-its-network-rules-0123456789abcdef"


def marked(directory: Path, identity: Identity) -> str:
    name = f"{PREFIX}-{name_of(identity.labels('20261127-120000-abcd'))}"
    (directory / name).touch()
    return name


def test_files_of_dead_runs_go_and_those_of_live_ones_and_of_others_stay(tmp_path: Path) -> None:
    marked(tmp_path, replace(ME, start=4999))
    stay = {marked(tmp_path, ME), marked(tmp_path, replace(ME, namespace="1"))}
    for name in (PREFIX, f"{PREFIX}-somebodys", "barasync-20261127.1.2.3"):
        (tmp_path / name).touch()
        stay.add(name)

    remove_marks(ME, directory=tmp_path, start_of={100: 5000}.get)

    assert {path.name for path in tmp_path.iterdir()} == stay


def test_a_directory_that_is_not_there_has_none(tmp_path: Path) -> None:
    remove_marks(ME, directory=tmp_path / "shm")
