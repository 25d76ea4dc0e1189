"""A shell that is left to itself with the keys for that, and found again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from barasync.images.emulation import Host
from barasync.matrix.platforms import native, short_name
from tests.rig import libpod
from tests.rig.command import Barasync
from tests.rig.prompt import KEYS, answer, detached, prompted
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

pytestmark = [pytest.mark.usefixtures("no_run_stays"), pytest.mark.timeout(180)]

OWN = native(Host.current().machine)


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    """The command line in a project with a file of its own."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "greeting").write_text(f"hello from {tmp_path.name}\n")
    return Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


def test_a_shell_that_was_left_is_found_again_as_it_was_and_has_an_exit_code_of_its_own(
    service: RigService, barasync: Barasync, busybox: str
) -> None:
    """Podman's log has what was said in both conversations, byte for byte."""
    with barasync.on_terminal("shell", busybox, "--workspace", "layer") as terminal:
        prompted(terminal)
        assert answer(terminal, "here=left; seq 2000 | tail -n 1") == "2000\n"
        terminal.send(KEYS)
        name = detached(terminal)
        assert terminal.wait() == 0
        first = terminal.output.partition(b"\r\nbarasync: barasync-")[0]

    try:
        with barasync.on_terminal("container", "attach", name, columns=101, rows=33) as terminal:
            before = terminal.attributes()
            # Until then this terminal echoes what is typed.
            wait_until(terminal.is_raw, "the conversation begins")
            terminal.send(b"\r")
            prompted(terminal)
            terminal.send(b"until [ \"$(stty size)\" = '33 101' ]; do :; done; echo si''zed\r")
            terminal.expect(b"sized\r\n")
            prompted(terminal)
            own = (barasync.directory / "greeting").read_text()
            assert answer(terminal, "echo $here; cat greeting") == f"left\n{own}"
            # Between two commands a shell may lose it.
            terminal.send(b"sh -c 'echo be''gun; exec sleep 1000'\r")
            terminal.expect(b"begun\r\n")
            terminal.send(b"\x03")
            prompted(terminal)
            terminal.send(b"exit 9\r")
            assert terminal.wait() == 9
            assert terminal.attributes() == before
            second = terminal.output
        (listed,) = json.loads(barasync("container", "list", "--json").out)
        log = barasync("container", "logs", name).out.encode()
        removed = barasync("container", "remove", name)
    finally:
        if name in libpod.containers(service.endpoint.socket_path).values():
            libpod.remove_container(service.endpoint.socket_path, name)

    assert (listed["names"], listed["state"], listed["exit_code"]) == ([name], "exited", 9)
    assert (removed.code, removed.out) == (0, f"{name}: removed\n")
    assert b"2000\r\n" in log
    # Before it come notes of the command.
    assert (first + second).endswith(log)


def test_a_detached_shell_goes_on_and_nothing_cleans_it_up(
    service: RigService, barasync: Barasync, busybox: str
) -> None:
    socket_path = service.endpoint.socket_path
    with barasync.on_terminal("shell", busybox, "--network", "private") as terminal:
        before = terminal.attributes()
        prompted(terminal)
        terminal.send(KEYS)
        name = detached(terminal)
        assert terminal.wait() == 0
        assert terminal.attributes() == before

    try:
        assert list(libpod.containers(socket_path).values()) == [name]
        cleaned = barasync("clean")
        assert (cleaned.code, name in cleaned.out) == (0, False)
        found = libpod.request(socket_path, "GET", f"containers/{name}/json")
        assert found["State"]["Status"] == "running"
    finally:
        libpod.remove_container(socket_path, name)
        # Its network goes with it.
        assert barasync("clean").code == 0


def test_other_keys_detach_where_they_are_asked_for(
    service: RigService, barasync: Barasync, busybox: str
) -> None:
    with barasync.on_terminal("shell", busybox, "--detach-keys", "ctrl-a,d") as terminal:
        prompted(terminal)
        terminal.send(b"echo a\x10\x11b\r")
        terminal.send(b"\x01d")
        name = detached(terminal)
        assert terminal.wait() == 0
    libpod.remove_container(service.endpoint.socket_path, name)
    barasync("clean")


def test_what_needs_the_command_is_not_detached(barasync: Barasync, busybox: str) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{busybox}"
        network = "none"
        [[defaults.services]]
        name = "db"
        image = "{busybox}"
        command = ["sh", "-c", "touch /ready; sleep 1000"]
        ready = "test -e /ready"
        """
    )
    with barasync.on_terminal("shell", short_name(OWN)) as terminal:
        terminal.expect(b"cannot be detached: its services end with this command")
        prompted(terminal)
        terminal.send(KEYS)
        terminal.send(b"\x15")
        assert answer(terminal, "echo still here") == "still here\n"
        terminal.send(b"exit\r")
        assert terminal.wait() == 0
