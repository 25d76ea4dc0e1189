"""Cells that share a directory with the engine and try to lead it astray, on real podmans."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import RigService

NATIVE = native_architecture()


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    """The command line in a project, beside a directory that is none of a cell's business."""
    for directory in ("project", "victim/out"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "victim/out/precious").write_text("precious")
    return Barasync(tmp_path / "project", service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


def victim(barasync: Barasync) -> dict[str, str]:
    root = barasync.directory.parent / "victim"
    return {
        str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()
    }


def attack(barasync: Barasync, image: str, script: str, more: str) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{image}"
        command = ["sh", "-c", '''mkdir -p /tmp/out; echo pwned >/tmp/out/file; {script}''']
        artifacts = ["/tmp/out"]
        {more}
        """
    )


def test_a_link_at_the_place_of_a_cells_artifacts_leads_nowhere(
    barasync: Barasync, busybox: str
) -> None:
    target = barasync.directory.parent / "victim"
    link = f"mkdir -p dist; ln -sfn {target} dist/{NATIVE}"
    attack(barasync, busybox, link, 'workspace = "bind"')

    ended = barasync("matrix", "tests", "--artifacts-dir", "dist")

    assert ended.code == 1, ended.out + ended.err
    assert f"dist/{NATIVE}/out cannot be written: Not a directory" in ended.out + ended.err
    assert victim(barasync) == {"out/precious": "precious"}


def test_a_link_that_comes_between_two_attempts_has_nothing_removed_behind_it(
    barasync: Barasync, busybox: str
) -> None:
    target = barasync.directory.parent / "victim"
    script = (
        f"if [ -e dist/{NATIVE} ]; then rm -rf dist/{NATIVE} /tmp/out;"
        f" ln -s {target} dist/{NATIVE}; fi; exit 1"
    )
    more = 'workspace = "bind"\nretries = 1\nretry_on = ["failed"]'
    attack(barasync, busybox, script, more)

    ended = barasync("matrix", "tests", "--artifacts-dir", "dist")

    assert (barasync.directory / "dist" / NATIVE).is_symlink(), ended.out + ended.err
    assert victim(barasync) == {"out/precious": "precious"}


@pytest.mark.parametrize("volume", ["./:/src", "../:/src"])
def test_the_record_of_runs_is_out_of_reach_through_any_mount(
    barasync: Barasync, busybox: str, volume: str
) -> None:
    attack(
        barasync,
        busybox,
        "find /src -path '*.barasync/*' | grep . && exit 3; true",
        f'workspace = "none"\nvolumes = ["{volume}"]',
    )

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    assert (barasync.record() / "artifacts" / NATIVE / "out/file").read_text() == "pwned\n"


def test_an_artifact_of_an_earlier_run_does_not_seem_to_be_of_this_one(
    barasync: Barasync, busybox: str
) -> None:
    attack(barasync, busybox, "true", 'workspace = "none"')
    assert barasync("matrix", "tests", "--artifacts-dir", "dist").code == 0
    (barasync.directory / "dist/mine").write_text("mine")
    attack(barasync, busybox, "rm -r /tmp/out", 'workspace = "none"')

    ended = barasync("matrix", "tests", "--artifacts-dir", "dist")

    assert ended.code == 1, ended.out + ended.err
    assert sorted(
        str(path.relative_to(barasync.directory / "dist"))
        for path in (barasync.directory / "dist").rglob("*")
    ) == [NATIVE, "mine"]


def test_the_record_of_runs_itself_is_not_mounted(barasync: Barasync, busybox: str) -> None:
    more = 'workspace = "none"\nvolumes = ["./.barasync/runs:/runs"]'
    attack(barasync, busybox, "echo started", more)

    ended = barasync("matrix", "tests")

    assert ended.code not in {0, 70}, ended.out + ended.err
    assert "is where barasync keeps its record; no cell may change that" in ended.out + ended.err
    assert "started" not in ended.out
