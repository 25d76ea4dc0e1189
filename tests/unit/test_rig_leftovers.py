"""The rig clears up behind what was killed, and says so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.rig import leftovers, networks


def test_the_cgroups_of_killed_runs_are_named_and_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr(leftovers, "GRACE_SECONDS", 0.0)
    for hierarchy in ("memory", "pids"):
        (tmp_path / hierarchy / "barasync-r1.1.2.3" / "a-1" / "below").mkdir(parents=True)
        (tmp_path / hierarchy / "barasync-r2.1.2.3").mkdir()

    found = leftovers.clear_cgroups(["r1"])

    assert sorted(Path(path).parent.name for path in found) == ["memory", "pids"]
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["barasync-r2.1.2.3"] * 2
    assert leftovers.clear_cgroups(["r1"]) == []


def test_what_is_in_the_cgroup_of_a_killed_run_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr(leftovers, "GRACE_SECONDS", 0.0)
    cell = tmp_path / "memory" / "barasync-r1.1.2.3" / "a-1"
    cell.mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"]) as process:
        (cell / "cgroup.procs").write_text(f"{process.pid}\n")

        leftovers.clear_cgroups(["r1"])

        assert process.wait() == -9


def test_files_of_networks_that_are_no_mount_are_named_and_removed_but_for_those_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "NAMESPACES", tmp_path)
    monkeypatch.setattr(leftovers, "GRACE_SECONDS", 0.0)
    (tmp_path / "old").touch()
    before = leftovers.network_namespaces()
    (tmp_path / "new").touch()

    found = leftovers.clear_network_namespaces(before)

    assert found == [str(tmp_path / "new")]
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]
