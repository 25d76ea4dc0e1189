"""Settings of the command line as if the file had them, by what they do on real podmans."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import probe
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.internet import Internet, asked_for_names, internet
from tests.rig.libpod import request
from tests.rig.services import RigService

NATIVE = native_architecture()
MADE = "localhost/barasync-test/defined:1"


@pytest.fixture(scope="module")
def online() -> Iterator[Internet]:
    with internet() as world:
        yield world


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    """The command line in a directory without a file of ours."""
    directory = tmp_path / "here"
    directory.mkdir()
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return Barasync(directory, service.endpoint.url, environ)


def test_a_network_of_the_command_line_decides_on_packets(
    barasync: Barasync, service: RigService, online: Internet
) -> None:
    probe.make_image(service.endpoint.socket_path)
    public, other = online.public[0], online.public[1]
    tried = [("tcp", public, 80), ("tcp", public, 8080), ("tcp", other, 8080), ("tcp", other, 80)]
    defined = [
        "--define=network.fire.wall.base=local",
        "--define=network.fire.wall.allow=80/tcp",
        f"--define=network.fire.wall.allow={other} 8080/tcp",
        f"--define=network.fire.wall.deny={other} 80/tcp",
    ]

    with asked_for_names(online, service):
        ended = barasync(
            "run", "--network", "fire.wall", *defined, probe.IMAGE, "--", *probe.command(tried)
        )

    assert ended.code == 0, ended.err
    reached = [said == "reached" for said in json.loads(ended.out)]
    assert reached == [True, False, True, False]


def test_a_configuration_of_the_command_line_is_that_of_its_cell(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        workspace = "none"
        command = ["sh", "-c", 'echo "$A,$B,$C"; cat /data/*']
        [matrix]
        config = ["debug"]
        [config.debug]
        env = {{ A = "file", B = "file" }}
        """
    )
    below = barasync.directory / "below"
    below.mkdir()
    (below / "word").write_text("from here\n")

    within = Barasync(below, barasync.url, barasync.environ)
    ended = within(
        "matrix",
        "tests",
        "--config=debug,new",
        "--define=config.debug.env.B=b = $A 'b'",
        "--define=config.debug.volumes=./:/data:ro",
        "--define=config.new.env.C=c",
        "--define=config.new.command=echo",
        "--define=config.new.command={rule}",
    )

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(f"{NATIVE}-debug") == "file,b = $A 'b',\nfrom here\n"
    assert barasync.log(f"{NATIVE}-new") == "tests\n"


def test_a_shell_is_in_what_the_command_line_defines_and_without_files_outside_of_a_project(
    barasync: Barasync, busybox: str
) -> None:
    words = ("--config=c", "--define=config.c.env.WORD=a b", busybox)
    script = 'echo "$WORD"; test ! -e /workspace/mark'
    (barasync.directory / "mark").touch()

    shell = barasync("shell", *words, "--", "sh", "-c", script)
    run = barasync("run", *words, "--", "sh", "-c", script)

    assert (shell.code, shell.out) == (0, "a b\n"), shell.err
    assert (run.code, run.out) == (0, "a b\n"), run.err


def test_an_image_of_the_command_line_has_files_from_outside_of_the_project(
    barasync: Barasync, service: RigService, busybox: str, tmp_path: Path
) -> None:
    outside = tmp_path / "out side"
    (outside / "sub").mkdir(parents=True)
    (outside / "sub/one").write_text("1")
    (barasync.directory / "two").write_text("2")
    (tmp_path / "link").symlink_to(outside)
    image = ["--define=images.mine.from=" + busybox]

    try:
        built = barasync(
            "image",
            "build",
            f"--tag={MADE}",
            *image,
            f"--define=images.mine.copy={tmp_path}/link:/from",
            "--define=images.mine.copy=two:/from/",
            "--define=images.mine.run=cat /from/sub/one /from/two >/all",
            "--define=images.mine.env.A.B=x",
            "mine",
        )
        ended = barasync("run", MADE, "--", "cat", "/all")
    finally:
        _remove_built(service)

    assert built.code == 0, built.err
    assert (ended.code, ended.out) == (0, "12")


def test_a_containerfile_of_anywhere_is_built_as_the_command_line_says(
    barasync: Barasync, service: RigService, busybox: str, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "word").write_text("word")
    (tmp_path / "File").write_text(f"FROM {busybox}\nCOPY word /word\nRUN cat /word >/said\n")

    try:
        built = barasync(
            "image",
            "build",
            f"--tag={MADE}",
            "--define=images.mine.containerfile=../File",
            "--define=images.mine.context=../context",
            "--define=images.mine.network=none",
            "mine",
        )
        ended = barasync("run", MADE, "--", "cat", "/said")
    finally:
        _remove_built(service)

    assert built.code == 0, built.err
    assert (ended.code, ended.out) == (0, "word")


def test_what_a_network_of_the_command_line_means_is_shown(barasync: Barasync) -> None:
    shown = barasync(
        "network",
        "show",
        "--define=network.web.allow=443/tcp",
        "--define=network.web.log=true",
        "web",
    )

    assert shown.code == 0, shown.err
    assert "443/tcp" in shown.out


def _remove_built(service: RigService) -> None:
    socket_path = service.endpoint.socket_path
    request(socket_path, "DELETE", f"images/{MADE}", query={"force": "true"})
