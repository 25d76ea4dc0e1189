"""Conversations with containers of a podman without root, and the way into a failed cell."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.prompt import KEYS, answer, detached, prompted
from tests.rig.services import RigService

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def barasync(
    rootless_service: RigService, rootless_busybox: str, tmp_path: Path
) -> Iterator[Barasync]:
    """The command line in an empty project; what is detached or kept there goes with the test."""
    assert rootless_busybox
    barasync = Barasync(tmp_path, rootless_service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    yield barasync
    socket_path = rootless_service.endpoint.socket_path
    libpod.remove_containers(socket_path, libpod.containers(socket_path))
    assert barasync("clean", "--kept").code == 0


def test_a_shell_has_a_terminal_is_left_and_found_again(
    barasync: Barasync, rootless_busybox: str
) -> None:
    with barasync.on_terminal("shell", rootless_busybox, columns=91, rows=27) as terminal:
        before = terminal.attributes()
        prompted(terminal)
        terminal.send(b"until [ \"$(stty size)\" = '27 91' ]; do :; done; echo fir''st\r")
        terminal.expect(b"first\r\n")
        prompted(terminal)
        assert answer(terminal, "here=left; id -u") == "0\n"
        terminal.send(KEYS)
        name = detached(terminal)
        assert terminal.wait() == 0
        assert terminal.attributes() == before
    with barasync.on_terminal("container", "attach", name) as terminal:
        terminal.send(b"\r")
        prompted(terminal)
        assert answer(terminal, "echo $here") == "left\n"
        terminal.send(b"exit 9\r")
        assert terminal.wait() == 9
    (listed,) = json.loads(barasync("container", "list", "--json").out)
    removed = barasync("container", "remove", name)

    assert (listed["names"], listed["state"], listed["exit_code"]) == ([name], "exited", 9)
    assert removed.code == 0, removed.err


def test_a_command_is_executed_with_streams_and_an_exit_code_of_its_own(
    barasync: Barasync, rootless_busybox: str
) -> None:
    words = ("run", "--detach", rootless_busybox, "--", "sleep", "1000")
    name = barasync(*words).out.strip()
    script = "cat; echo err >&2; exit 7"
    exec_words = ("container", "exec", name, "--", "sh", "-c", script)
    data = os.urandom(1_000_000)
    with barasync.running(*exec_words, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(data, timeout=120)
    missing = barasync("container", "exec", name, "--", "no-such-command")
    with barasync.on_terminal("container", "exec", name, "sh") as terminal:
        prompted(terminal)
        assert answer(terminal, "test -t 0 && echo tty") == "tty\n"
        terminal.send(b"\x04")
        assert terminal.wait() == 0

    assert (process.returncode, out == data, err) == (7, True, b"err\n")
    assert missing.code == 127


def test_a_shell_is_in_what_a_failed_cell_left(barasync: Barasync, rootless_busybox: str) -> None:
    script = "mkdir /made; echo kept >/made/file; exit 3"
    barasync.configure_script(rootless_busybox, script)
    failed = barasync("matrix", "tests", "--keep-failed")
    cell = native_architecture()

    words = ("shell", "--from-failed", "last", cell)
    with barasync.running(*words, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(b"cat /made/file\nexit 4\n", timeout=120)

    assert failed.code == 1, failed.err
    assert (process.returncode, out) == (4, b"kept\n"), err
