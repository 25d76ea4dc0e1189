"""The chain that a project needs, end to end: base, bar, toolchain, dev, project; built twice.

The base is bootstrapped so that apt works in it, the toolchain and the tools come from Debian's
mirror through podman's network, and nothing of it from a registry.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, Ended
from tests.rig.services import RigService

pytestmark = pytest.mark.slow

NATIVE = native_architecture()
CHAIN = ("base", "bar", "toolchain", "dev", "project")
# What apt and mmdebstrap say of a mirror that is out of reach for a moment.
PASSING = ("Failed to fetch", "Temporary failure", "could not be reached", "Unable to fetch")
TRIES = 3

CONFIG = """
[defaults]
image = "project"
workspace = "none"

[images.base.bootstrap]
distribution = "debian"
suite = "trixie"
variant = "apt"

[images.bar]
from = "base"
copy = ["bar:/usr/local/bin/bar"]
run = ["bar --version >/etc/bar-version"]

[images.toolchain]
from = "bar"
toolchain = "c"

[images.dev]
from = "toolchain"
dev = true

[images.project]
from = "dev"
workdir = "/workspace"
project = true
run = ["bar build"]
"""
BAR = """#!/bin/sh
set -eu
case $1 in
    --version) echo "bar of the test" ;;
    build) gcc -Wall -Werror -g -o answer answer.c ;;
    tests)
        ./answer
        gdb --batch --eval-command='info line answer' ./answer
        strace -c -o /dev/null ./answer
        cat /etc/bar-version
        ;;
esac
"""
PROGRAM = """#include <stdio.h>
int answer(void) { return 42; }
int main(void) { printf("the answer is %d\\n", answer()); return 0; }
"""


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    project = tmp_path / "project"
    project.mkdir()
    (project / "barasync.toml").write_text(CONFIG)
    (project / "bar").write_text(BAR)
    (project / "bar").chmod(0o755)
    (project / "answer.c").write_text(PROGRAM)
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return Barasync(project, service.endpoint.url, environ, timeout=800)


def built(barasync: Barasync) -> Ended:
    """Build the whole chain; again where a download failed, which goes on where it stopped."""
    for _ in range(TRIES):
        ended = barasync("image", "build", *CHAIN)
        if ended.code == 0 or not any(words in ended.err for words in PASSING):
            break
    assert ended.code == 0, ended.out + ended.err
    return ended


@pytest.mark.timeout(900)
def test_the_chain_of_a_project_is_built_once_and_its_rule_runs_in_it(
    barasync: Barasync, service: RigService
) -> None:
    def made() -> frozenset[str]:
        return libpod.containers_made(service.endpoint.socket_path)

    first = built(barasync)
    before = made()
    second = built(barasync)

    assert not made() - before, "a step was run again"
    assert second.out == first.out
    for name in CHAIN:
        assert f"{name} {NATIVE} " in first.out
    # bar: copy, run; toolchain and dev: packages; project: workdir, files, run.
    steps = [line for line in second.err.splitlines() if ": step " in line]
    assert len(steps) == 6
    assert all(line.endswith(": cached") for line in steps), second.err

    tested = barasync("matrix", "tests", "--arch", NATIVE)
    assert tested.code == 0, tested.out + tested.err
    log = barasync.log(NATIVE)
    assert "the answer is 42" in log
    assert 'Line 2 of "answer.c" starts at address' in log
    assert "bar of the test" in log
    assert len(made() - before) == 1, "the image was there, but more than the cell was made"

    source = barasync.directory / "answer.c"
    source.write_text(PROGRAM.replace("return 42", "return 43"))
    before = made()
    built(barasync)
    assert len(made() - before) == 2, "only the files and what is run on them is made anew"
    assert "the answer is 43" in barasync("run", "project", "--", "./answer").out
