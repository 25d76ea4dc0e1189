"""Artifacts of runs against real podmans: from where they come, and what that means for a cell."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig import libpod
from tests.rig.command import Barasync
from tests.rig.services import RigService


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    directory = tmp_path / "project"
    directory.mkdir()
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return Barasync(directory, service.endpoint.url, environ)


@pytest.fixture
def volume(service: RigService) -> Iterator[str]:
    """The name of a volume that is removed after the test."""
    name = "barasync-test-linked"
    yield name
    libpod.request(service.endpoint.socket_path, "DELETE", f"volumes/{name}")


def cell(barasync: Barasync, name: str | None = None) -> dict[str, Any]:
    """Return the only cell of the newest run, or the one of a configuration."""
    cells = barasync.result()["cells"]
    found: dict[str, Any] = next(
        each for each in cells if name is None or each["id"].endswith(name)
    )
    return found


def problems(barasync: Barasync) -> dict[str, str | None]:
    return {each["source"]: each["problem"] for each in cell(barasync)["artifacts"]}


LINKS = """
    set -e; mkdir -p /c/target /over /bin2 && cd /workspace
    echo bin >/c/target/app; ln -s /c/target target; ln -s /c whole; ln -s /b/o bound
    echo b >/b/o; echo d >/b/d; ln -s whole twice; ln -s /proc kernel; ln -s /b/none none
    ln -s d /b/in; ln -s /c/target /b/out; echo f >/tmp/f; ln -s /tmp/f plain
"""


def test_artifacts_that_are_links_to_what_is_mounted_have_its_files(
    barasync: Barasync, busybox: str, volume: str
) -> None:
    (barasync.directory / "bound").mkdir()
    names = "target", "whole", "bound", "twice/target/app", "kernel", "none", "plain"
    words = [word for name in (*names, "/b/in", "/b/out") for word in ("--artifact", name)]
    ended = barasync(
        *("run", busybox, "--workspace", "layer", "--volume", f"{volume}:/c"),
        *("--volume", "./bound:/b", *words, "--artifacts-dir", "got", "--", "sh", "-c", LINKS),
    )

    got = barasync.directory / "got"
    found = {path.relative_to(got).as_posix().partition("/")[2] for path in got.rglob("*")}
    assert ended.code == 1, ended.err
    assert {"target/app", "whole/target/app", "bound", "app", "plain", "in"} <= found, ended.err
    why = problems(barasync)
    assert [name for name, problem in why.items() if problem] == ["kernel", "none", "/b/out"]
    assert "/workspace/kernel: /proc is on a file system of the kernel" in str(why["kernel"])
    assert "/workspace/none is not in the container" in str(why["none"])
    assert "/b/out" in str(why["/b/out"])


def test_a_link_to_an_overlay_and_one_of_an_overlay_have_the_files(
    barasync: Barasync, busybox: str, volume: str
) -> None:
    script = "ln -s /workspace /src; echo d >made; ln -s /v/x out; echo x >/v/x; ln -s made rel"
    ended = barasync(
        *("run", busybox, "--workspace", "overlay", "--volume", f"{volume}:/v"),
        *("--artifact", "/src", "--artifact", "out", "--artifact", "rel", "--artifact", "/src/rel"),
        *("--artifacts-dir", "got", "--", "sh", "-c", script),
    )

    assert ended.code == 0, ended.err
    files = [path for path in (barasync.directory / "got").rglob("*") if path.is_file()]
    contents = {path.name: path.read_text() for path in files}
    # The record of this very run lies in the directory that the overlay is of.
    assert (barasync.record() / "events.jsonl").exists()
    assert not [path for path in files if ".barasync" in path.parts or path.suffix == ".jsonl"]
    assert contents["made"] == "d\n"
    assert contents["out"] == "x\n"
    assert contents["rel"] == "d\n"


@pytest.mark.parametrize("mode", ["lock", "cow"])
def test_a_link_to_a_cache_has_its_files_or_is_a_problem(
    barasync: Barasync, busybox: str, mode: str
) -> None:
    script = "mkdir -p /c/target; echo bin >/c/target/app; ln -s /c/target /tmp/out"
    words = "--cache", f"linked:/c:{mode}", "--artifact", "/tmp/out", "--artifacts-dir", "got"
    try:
        ended = barasync("run", busybox, *words, "--", "sh", "-c", script)
    finally:
        cleaned = barasync("clean", "--caches")

    assert cleaned.code == 0, cleaned.err
    came = [path.name for path in (barasync.directory / "got").glob("*/out/*")]
    assert came == (["app"] if mode == "lock" else []), ended.err
    assert ended.code == (0 if mode == "lock" else 1), ended.err
    assert ("artifact /tmp/out: /tmp/out: /c/target is on" in ended.err) is (mode == "cow")


LARGE = "dd if=/dev/zero of=/tmp/out bs=1M count=100 2>/dev/null"


def settings(barasync: Barasync, image: str, scripts: dict[str, str], more: str) -> None:
    """Let each configuration run a script, and collect `/tmp/out`."""
    cells = "".join(
        f"[config.{name}]\ncommand = ['sh', '-c', '''{script}''']\n"
        for name, script in scripts.items()
    )
    barasync.configure(
        f"""
        [defaults]
        image = "{image}"
        workspace = "none"
        artifacts = ["/tmp/out"]
        {more}
        [matrix]
        config = {list(scripts)}
        """
        + cells
    )


def collected(barasync: Barasync, name: str) -> list[Path]:
    return list((barasync.record() / "artifacts").glob(f"*{name}/*"))


def test_artifacts_that_take_longer_than_they_may_are_a_problem_and_leave_nothing(
    barasync: Barasync, busybox: str
) -> None:
    settings(barasync, busybox, {"a": LARGE}, "artifacts_timeout = 0.02")

    ended = barasync("matrix", "tests")

    assert ended.code == 1, ended.err
    assert cell(barasync, "a")["status"] == "artifacts_incomplete"
    assert "was not whole after 0.02 s (`artifacts_timeout`)" in cell(barasync, "a")["reason"]
    assert collected(barasync, "a") == []


def test_the_next_cell_starts_while_artifacts_of_the_one_before_are_collected(
    barasync: Barasync, busybox: str
) -> None:
    settings(barasync, busybox, {"a": LARGE, "b": "echo b >/tmp/out"}, "")

    ended = barasync("matrix", "tests", "--jobs", "1")

    assert ended.code == 0, ended.err
    lines = (barasync.record() / "events.jsonl").read_text().splitlines()
    happened = [
        (event["event"], event["cell"].rpartition("-")[2])
        for event in map(json.loads, lines)
        if event["event"] in {"cell.started", "cell.finished"}
    ]
    assert happened[0][0] == happened[1][0] == "cell.started"
    assert collected(barasync, "a")[0].stat().st_size == 100 << 20
    assert collected(barasync, "b")[0].read_text() == "b\n"


def test_artifacts_of_passed_cells_alone_are_collected_where_that_is_wanted(
    barasync: Barasync, busybox: str
) -> None:
    scripts = {"good": "echo x >/tmp/out", "bad": "echo x >/tmp/out; exit 3"}
    settings(barasync, busybox, scripts, 'artifacts_on = "passed"')

    ended = barasync("matrix", "tests")

    assert ended.code == 1, ended.err
    assert (cell(barasync, "good")["status"], cell(barasync, "bad")["status"]) == (
        "passed",
        "failed",
    )
    assert [path.name for path in collected(barasync, "good")] == ["out"]
    assert collected(barasync, "bad") == []
    assert cell(barasync, "bad")["artifacts"] == []


def test_artifacts_come_of_a_cell_that_was_killed_at_the_end_of_its_time(
    barasync: Barasync, busybox: str
) -> None:
    script = "trap : TERM; echo x >/tmp/out; while :; do sleep 1; done"
    settings(barasync, busybox, {"slow": script}, "timeout = 2\nstop_grace = 0.5")

    ended = barasync("matrix", "tests")

    assert ended.code == 1, ended.err
    assert cell(barasync, "slow")["status"] == "timed_out"
    assert collected(barasync, "slow")[0].read_text() == "x\n"
