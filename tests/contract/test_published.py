"""Ports that the command line publishes, asked through this host, on real podmans."""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.rig import probe
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import RigService

NATIVE = native_architecture()
SERVER = " ".join([*probe.PYTHON, "/probe.py", "--serve", "/tmp/up"])
SERVED = f"{SERVER} & until test -e /tmp/up; do sleep 0.1; done; echo up; wait"
PUBLISHED = re.compile(r"9000/(tcp|udp) at 127\.0\.0\.1:(\d+)")


@pytest.fixture
def barasync(service: RigService, tmp_path: Path) -> Barasync:
    probe.make_image(service.endpoint.socket_path)
    return Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


@pytest.mark.parametrize("network", ["public", "private", "local", "isolated"])
def test_a_port_of_the_command_line_is_reached_under_every_preset(
    barasync: Barasync, network: str
) -> None:
    ports = ("-p", "127.0.0.1::9000", "--publish=127.0.0.1::9000/udp")
    options = ("run", f"--network={network}", *ports, probe.IMAGE)

    with barasync.running(*options, "--", "sh", "-c", f"({SERVED}) >&2") as process:
        places = told_until(process, "up")
        said = (asked_by_tcp(places["tcp"]), asked_by_udp(places["udp"]))
        process.terminate()
        process.communicate()

    assert said == (b"here\n", b"here\n")


def test_a_port_that_is_named_is_that_one_beside_those_of_a_table(barasync: Barasync) -> None:
    number = free_port()
    barasync.configure('[network.web]\nbase = "local"\nports = ["127.0.0.1::9000"]\n')
    options = ("shell", "--network=web", f"-p127.0.0.1:{number}:9000", probe.IMAGE)

    with barasync.running(*options, "--", "sh", "-c", f"({SERVED}) >&2") as process:
        places = told_until(process, "up")
        said = (asked_by_tcp(places["tcp"]), asked_by_tcp(number))
        process.terminate()
        process.communicate()

    assert said == (b"here\n", b"here\n")


def test_each_cell_of_a_matrix_publishes_a_port_of_its_own(barasync: Barasync) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "{probe.IMAGE}"
        workspace = "none"
        network = "local"
        command = ["sh", "-c", '{SERVED}']
        [matrix]
        config = ["a", "b"]
        """
    )

    words = ("matrix", "tests", "--jobs=2", "-p127.0.0.1::9000")
    with barasync.running(*words, stderr=subprocess.STDOUT) as process:
        found: dict[str, int] = {}
        up = 0
        assert process.stdout is not None
        while up < 2 or len(found) < 2:
            line = process.stdout.readline().decode()
            assert line, process.communicate()
            up += line.rstrip().endswith("up")
            if place := PUBLISHED.search(line):
                found[line.split(":")[0]] = int(place[2])
        said = [asked_by_tcp(port) for port in found.values()]
        process.terminate()
        process.communicate()

    assert said == [b"here\n", b"here\n"]
    assert len(set(found.values())) == 2


def test_a_port_that_something_else_has_ends_with_4_and_names_the_option(
    barasync: Barasync,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        ended = barasync(
            *("run", "--network=local", f"--publish=127.0.0.1:{number}:80", probe.IMAGE),
            *("--", "echo", "ran"),
        )

    assert (ended.code, ended.out) == (4, "")
    assert f"--publish 127.0.0.1:{number}:80: port 127.0.0.1:{number}/tcp of this host" in ended.err


def free_port() -> int:
    """Return a port that nothing has, and that the kernel gives to nobody who asks for any."""
    for number in secrets.SystemRandom().sample(range(20000, 30000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", number)):
            return number
    raise AssertionError("all of these ports are taken")


def told_until(process: subprocess.Popen[bytes], marker: str) -> dict[str, int]:
    """Return the ports of the host by protocol, as stderr names them before a line `marker`."""
    errors = process.stderr
    assert errors is not None
    lines: list[str] = []
    for line in errors:
        lines.append(line.decode())
        if lines[-1] == f"{marker}\n":
            break
    else:
        raise AssertionError(lines)
    found = (PUBLISHED.search(line) for line in lines)
    return {place[1]: int(place[2]) for place in found if place}


def asked_by_tcp(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        return connection.recv(100)


def asked_by_udp(port: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(30)
        asking.connect(("127.0.0.1", port))
        asking.send(b"hello")
        return asking.recv(100)
