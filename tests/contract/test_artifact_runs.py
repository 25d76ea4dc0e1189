"""Artifacts of runs against real podmans: from where they come, and what that means for a cell."""

from __future__ import annotations

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
    return Barasync(directory, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


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
    contents = {
        path.name: path.read_text()
        for path in (barasync.directory / "got").rglob("*")
        if path.is_file() and path.name != "events.jsonl"
    }
    assert contents["made"] == "d\n"
    assert contents["out"] == "x\n"
    assert contents["rel"] == "d\n"
