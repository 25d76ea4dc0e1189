"""Policies of networks on real podmans: in force before the first instruction, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import RigService

BASE = f"localhost/busybox:{native_architecture()}"
# Prints the end of an attempt to connect, for each address and port.
CONNECT = """
for each in "$@"; do
    if nc -w 2 ${each% *} ${each#* } </dev/null 2>/dev/null; then echo "$each open"
    else echo "$each closed"; fi
done
"""
# It has its port when it puts itself in the background.
SERVER = "httpd -p 8000 -h /tmp; "


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Iterator[Barasync]:
    """The command line; afterwards no network is there that was not there before."""
    assert busybox
    before = networks(service)
    project = tmp_path / "project"
    project.mkdir()
    yield Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    assert networks(service) == before


def networks(service: RigService) -> set[str]:
    found = libpod.request(service.endpoint.socket_path, "GET", "networks/json")
    return {network["name"] for network in found}


def run(barasync: Barasync, network: str, script: str, *options: str) -> str:
    ended = barasync(
        *("run", BASE, "--workspace", "none", "--network", network, *options),
        *("--", "sh", "-c", script),
    )
    assert ended.code == 0, ended.out + ended.err
    return ended.out


def test_an_isolated_cell_does_not_even_reach_itself(barasync: Barasync) -> None:
    script = f"{SERVER} set -- '127.0.0.1 8000' '::1 8000'; {CONNECT}"

    assert run(barasync, "isolated", script) == "127.0.0.1 8000 closed\n::1 8000 closed\n"


def test_a_local_cell_reaches_itself_and_has_no_interface_to_anything_else(
    barasync: Barasync,
) -> None:
    places = "'127.0.0.1 8000' '::1 8000' '198.51.100.9 80'"
    script = f"{SERVER} set -- {places}; {CONNECT} ls /sys/class/net"

    printed = run(barasync, "local", script)

    assert printed.splitlines() == [
        "127.0.0.1 8000 open",
        "::1 8000 open",
        "198.51.100.9 80 closed",
        "lo",
    ]
