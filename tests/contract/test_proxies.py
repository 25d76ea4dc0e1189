"""The proxies of who calls, in cells, in steps and in a Containerfile's steps, on real podman."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import RigService

pytestmark = pytest.mark.usefixtures("no_image_stays")

WORD = "a-word-of-mine"
PROXY = f"http://me:{WORD}@127.0.0.1:9/"
BASE = f"localhost/busybox:{native_architecture()}"
DECLARED = """
[images.app]
containerfile = "Containerfile"
run = ["echo step $http_proxy $NO_PROXY"]
"""


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    """The command line of somebody behind a proxy, in a project that declares an image."""
    assert busybox
    project = tmp_path / "project"
    project.mkdir()
    text = f"FROM {BASE}\nRUN echo file $http_proxy $NO_PROXY\n"
    (project / "Containerfile").write_text(text)
    proxies = {"http_proxy": PROXY, "NO_PROXY": "localhost"}
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache"), **proxies}
    command = Barasync(project, service.endpoint.url, environ)
    command.configure(DECLARED)
    return command


def test_what_builds_execute_sees_them_and_neither_image_nor_key_has_them(
    barasync: Barasync, service: RigService
) -> None:
    socket_path = service.endpoint.socket_path

    first = barasync("image", "build", "app", "--verbose")

    assert first.code == 0, first.err
    lines = first.err.splitlines()
    for kind in ("file", "step"):
        assert any(line.endswith(f"| {kind} {PROXY} localhost") for line in lines), first.err
    exported = libpod.request(socket_path, "GET", "images/localhost/app:latest/get")
    assert len(exported) > 1_000_000
    assert WORD.encode() not in exported
    for what in ("json", "history"):
        told = libpod.request(socket_path, "GET", f"images/localhost/app:latest/{what}")
        assert "proxy" not in str(told).lower().replace("$http_proxy", "").replace("$no_proxy", "")
    others = {**barasync.environ, "http_proxy": "http://another:1"}
    again = replace(barasync, environ=others)("image", "build", "app")
    assert again.err.count(": cached") == 2, again.err
    assert again.out == first.out


def test_a_cell_has_them_where_it_has_a_network(barasync: Barasync) -> None:
    command = ("--workspace", "none", "--", "sh", "-c", "echo seen $http_proxy")

    online = barasync("run", BASE, "--network", "bridge", *command)
    own = barasync("run", BASE, "--network", "bridge", "--env", "http_proxy=", *command)
    offline = barasync("run", BASE, "--network", "none", *command)

    assert [ended.out for ended in (online, own, offline)] == [
        f"seen {PROXY}\n",
        "seen\n",
        "seen\n",
    ], online.err


def test_a_snapshot_of_a_cell_has_none_of_them(barasync: Barasync, service: RigService) -> None:
    command = ("--workspace", "none", "--", "sh", "-c", "echo seen $http_proxy")

    ended = barasync("run", BASE, "--network", "bridge", "--snapshot", "snap:1", *command)

    assert ended.out == f"seen {PROXY}\n", ended.err
    path = "images/localhost/snap:1/get"
    exported = libpod.request(service.endpoint.socket_path, "GET", path)
    assert len(exported) > 1_000_000
    assert WORD.encode() not in exported
