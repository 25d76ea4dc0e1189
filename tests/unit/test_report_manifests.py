"""The manifest of a cell's artifacts, as it lies on disk."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest

from barasync.artifacts.collect import Collection
from barasync.artifacts.manifest import Entry, Kind, Manifest, Totals
from barasync.artifacts.place import Place, below
from barasync.report.files import RunDirectory
from barasync.report.jsonl import EventLog
from barasync.report.manifests import ManifestDocument, write_manifest
from barasync.report.recorder import Recorder
from tests.unit.test_report_recorder import Audience

pytestmark = pytest.mark.anyio


def manifest(*entries: Entry) -> Manifest:
    return Manifest(entries=entries, totals=Totals.of(entries))


COLLECTION = Collection(
    directory=Path("/artifacts/amd64"),
    manifests=(
        (
            "out",
            manifest(
                Entry(path="", kind=Kind.DIRECTORY, mode=0o755),
                Entry(path="app", kind=Kind.FILE, mode=0o700, size=0, sha256="e3b0"),
                Entry(path="d/link", kind=Kind.SYMLINK, mode=0o777, target="../app"),
                Entry(path="caf\udce9", kind=Kind.SYMLINK, mode=0o777, target="\udcff"),
            ),
        ),
        ("x.log", manifest(Entry(path="", kind=Kind.FILE, mode=0o644, sha256="ab"))),
    ),
)


def test_a_manifest_has_every_member_of_every_archive(tmp_path: Path) -> None:
    path = tmp_path / "cells/amd64/artifacts.json"

    write_manifest(path, "run1", "amd64", 2, COLLECTION)

    assert msgspec.json.decode(path.read_bytes()) == {
        "schema": 1,
        "run": "run1",
        "cell": "amd64",
        "attempt": 2,
        "directory": "/artifacts/amd64",
        "entries": [
            {"path": "out", "kind": "directory", "mode": "0755"},
            {"path": "out/app", "kind": "file", "mode": "0700", "size": 0, "sha256": "e3b0"},
            {"path": "out/d/link", "kind": "symlink", "mode": "0777", "target": "../app"},
            {
                "path": "out/caf\\udce9",
                "kind": "symlink",
                "mode": "0777",
                "target": "\\udcff",
                "path_base64": base64.b64encode(b"out/caf\xe9").decode(),
                "target_base64": base64.b64encode(b"\xff").decode(),
            },
            {"path": "x.log", "kind": "file", "mode": "0644", "size": 0, "sha256": "ab"},
        ],
    }
    document = msgspec.json.decode(path.read_bytes(), type=ManifestDocument)
    assert [entry.sha256 for entry in document.entries] == [None, "e3b0", None, None, "ab"]
    assert [child.name for child in path.parent.iterdir()] == ["artifacts.json"]


def test_a_manifest_of_nothing_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "artifacts.json"

    write_manifest(path, "run1", "amd64", 1, Collection(directory=Path("/a")))

    assert msgspec.json.decode(path.read_bytes(), type=ManifestDocument).entries == ()


async def test_a_recorder_says_where_it_wrote_a_manifest(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with EventLog(directory.events) as log:
        recorder = Recorder(directory, log, Audience(), artifacts=Place(-1, tmp_path))
        first = await recorder.keep_manifest("amd64", 1, COLLECTION)
        second = await recorder.keep_manifest("amd64", 2, COLLECTION)

    assert first == "cells/amd64/artifacts.json"
    assert second == "cells/amd64/attempt-2/artifacts.json"
    assert (tmp_path / first).stat().st_size == (tmp_path / second).stat().st_size
    assert recorder.problems == ()


async def test_what_only_an_earlier_attempt_left_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "artifacts/amd64"
    (place / "out/deep").mkdir(parents=True)
    for name in ("out/deep/f", "x.log", "elsewhere"):
        (place / name).touch()
    empty = manifest()
    first = Collection(directory=place, manifests=(("out", empty), ("x.log", empty)))
    directory = RunDirectory(tmp_path)
    with EventLog(directory.events) as log, below(tmp_path / "artifacts") as root:
        recorder = Recorder(directory, log, Audience(), artifacts=root)
        await recorder.keep_manifest("amd64", 1, first)
        await recorder.keep_manifest("arm64", 1, Collection(directory=place))
        await recorder.remove_stale("amd64", 1)
        assert children(place) == ["elsewhere", "out", "x.log"]
        await recorder.keep_manifest(
            "amd64", 2, Collection(directory=place, manifests=(("x.log", empty),))
        )
        await recorder.remove_stale("amd64", 2)
        assert children(place) == ["elsewhere", "x.log"]
        await recorder.remove_stale("amd64", 3)

    assert children(place) == ["elsewhere"]


def children(directory: Path) -> list[str]:
    return sorted(child.name for child in directory.iterdir())


async def test_a_manifest_that_cannot_be_written_is_a_problem_of_the_record(
    tmp_path: Path,
) -> None:
    (tmp_path / "cells").touch()
    directory = RunDirectory(tmp_path)
    with EventLog(directory.events) as log:
        recorder = Recorder(directory, log, Audience(), artifacts=Place(-1, tmp_path))
        assert await recorder.keep_manifest("amd64", 1, COLLECTION) is None

    (problem,) = recorder.problems
    assert problem.startswith("the manifest of the artifacts of amd64 is missing: ")


def test_a_manifest_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "artifacts.json"
    path.mkdir()

    with pytest.raises(OSError, match=r"artifacts\.json"):
        write_manifest(path, "run1", "amd64", 1, COLLECTION)

    assert [child.name for child in tmp_path.iterdir()] == ["artifacts.json"]
