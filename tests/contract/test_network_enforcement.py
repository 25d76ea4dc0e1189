"""Policies of networks on real podmans: in force before the first instruction, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from barasync.aiopodman import Podman, ServerError
from barasync.config.policies import PRESETS
from barasync.engine.enforcement import enforced
from barasync.engine.networks import CellNetwork
from barasync.networks.namespace import NamespaceError, enter
from tests.contract.running import created, shell
from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until
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
SERVER = "mkdir /tmp/www; echo hello >/tmp/www/index.html; httpd -p 8000 -h /tmp/www; "
GATEWAY = "gateway=$(ip route | sed -n 's/default via \\([^ ]*\\) .*/\\1/p'); "
CELLS = 4


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    assert busybox
    project = tmp_path / "project"
    project.mkdir()
    return Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


def run(barasync: Barasync, network: str, script: str, *options: str) -> list[str]:
    """Run a script in a cell that passes; return the lines that it prints."""
    ended = barasync(
        *("run", BASE, "--workspace", "none", "--network", network, *options),
        *("--", "sh", "-c", script),
    )
    assert ended.code == 0, ended.out + ended.err
    return ended.out.splitlines()


@contextmanager
def listening() -> Iterator[int]:
    """A port of the host on which somebody listens, and hangs up, on all of its addresses."""
    with socket.create_server(("", 0)) as server, ThreadPoolExecutor() as pool:

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()

        pool.submit(hang_up)
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)


# Nothing, where it cannot be enforced


def test_without_nft_nothing_starts_and_the_package_is_named(barasync: Barasync) -> None:
    nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
    assert nft is not None
    hidden = 'mount --bind /dev/null "$0" && exec "$@"'
    unshare = ("/usr/bin/unshare", "--mount", "--propagation", "private")
    without = replace(barasync, within=(*unshare, "/bin/sh", "-c", hidden, nft))

    barasync.configure(
        f"""
        [defaults]
        image = "{BASE}"
        command = ["echo", "started"]
        network = "local"
        workspace = "none"
        [matrix]
        config = ["a", "b"]
        """
    )

    ended = without("matrix", "tests")

    assert ended.code == 4, ended.err
    assert ended.out == ""
    assert ended.err.count("nft is not installed, and without it no network policy can be") == 1
    assert "install the package nftables" in ended.err
    assert '`network = "none"` does without' in ended.err
    assert not (barasync.directory / ".barasync").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("script", ["sleep 1000", "true"], ids=["runs", "has ended"])
async def test_a_container_that_has_ended_before_its_start_does_not_run_without_rules(
    podman: Podman, busybox: str, script: str
) -> None:
    spec = shell(busybox, script)
    async with (
        created(podman, spec) as container,
        enforced(PRESETS["local"], CellNetwork(), enter, alias="a") as enforcement,
    ):

        async def enforce_and_end() -> None:
            await enforcement.apply(container)
            os.kill((await container.inspect()).state.pid, signal.SIGKILL)
            await container.wait()

        async def start() -> None:
            async with container.start_attached(before_start=enforce_and_end):
                if script == "true":
                    await container.wait()
                await enforcement.confirm()

        # 5.4.2 has the runtime start what is not there any more, and refuses.
        with pytest.raises(
            (NamespaceError, ServerError), match=r"made anew|start [0-9a-f]+` failed"
        ):
            await start()


# What was refused, and what is published


def test_what_was_refused_is_in_the_result_and_is_told_with_what_would_let_it_through(
    barasync: Barasync,
) -> None:
    barasync.configure('[network.counted]\nbase = "private"\nlog = true\n')
    script = f"set -- '198.51.100.9 443' '198.51.100.9 443'; {CONNECT}"

    ended = barasync(
        *("run", BASE, "--workspace", "none", "--network", "counted"),
        *("--report", "html=report.html", "--", "sh", "-c", script),
    )

    assert ended.code == 0, ended.err
    (cell,) = barasync.result()["cells"]
    (refused,) = cell["refused"]
    assert (refused["address"], refused["protocol"], refused["port"]) == (
        "198.51.100.9",
        "tcp",
        443,
    )
    assert refused["packets"] >= 2
    assert ended.out.splitlines() == ["198.51.100.9 443 closed"] * 2
    told = "barasync: its network 'counted' refused 198.51.100.9 443/tcp ("
    assert told in ended.err
    assert '`allow = ["198.51.100.9 443/tcp"]` lets the first through' in ended.err
    page = (barasync.directory / "report.html").read_text()
    assert f'<td class="number">{refused["packets"]}</td>' in page
    assert "<td>198.51.100.9</td>" in page
    assert "<td>443/tcp</td>" in page


def test_a_port_that_podman_chose_is_told_while_the_container_runs(barasync: Barasync) -> None:
    barasync.configure('[network.served]\nports = ["127.0.0.1::8000"]\n')

    ended = barasync(
        *("run", BASE, "--workspace", "none", "--network", "served", "--", "echo", "hello")
    )

    assert (ended.code, ended.out) == (0, "hello\n"), ended.err
    assert re.search(r"^barasync: 8000/tcp at 127\.0\.0\.1:\d+$", ended.err, re.MULTILINE)


def test_a_port_is_published_where_the_host_has_one_free_and_that_is_told(
    barasync: Barasync,
) -> None:
    barasync.configure_script(
        BASE,
        SERVER + "echo ready; sleep 1000",
        'network = "served"\n[network.served]\nports = ["127.0.0.1::8000"]',
    )

    with barasync.running("matrix", "tests") as process:
        read_until(process, "| ready", 1)
        ports = next(re.finditer(r'"8000/tcp":\["127\.0\.0\.1:(\d+)"\]', events(barasync)), None)
        assert ports is not None, events(barasync)
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/", timeout=5) as answer:
            text = answer.read()
        process.terminate()
        _, err = process.communicate()

    assert text == b"hello\n"
    place = f"127.0.0.1:{ports[1]}"
    assert barasync.result()["cells"][0]["ports"] == {"8000/tcp": [place]}
    assert f"published 8000/tcp at {place}\n" in err.decode()


def events(barasync: Barasync) -> str:
    return (barasync.record() / "events.jsonl").read_text()


def test_a_port_that_the_host_has_in_use_is_told_before_anything_is_made(
    barasync: Barasync,
) -> None:
    with listening() as port:
        barasync.configure(f'[network.served]\nports = ["{port}:80"]\n')
        ended = barasync(
            *("run", BASE, "--workspace", "none", "--network", "served", "--", "echo", "started")
        )

    assert (ended.code, ended.out) == (4, ""), ended.err
    assert (
        f"barasync.toml: network.served.ports[0]: port 0.0.0.0:{port}/tcp of this host, to publish"
        " port 80 of a cell, is in use" in ended.err
    )
    assert not (barasync.directory / ".barasync").exists()


def test_hosts_and_servers_of_a_policy_are_those_of_its_cells(barasync: Barasync) -> None:
    barasync.configure(
        """
        [network.named]
        base = "private"
        dns = ["198.51.100.53"]
        hosts = { db = "10.1.2.3" }
        """
    )
    script = "grep -w db /etc/hosts; grep nameserver /etc/resolv.conf"

    printed = run(barasync, "named", script)

    assert [line.split() for line in printed] == [
        ["10.1.2.3", "db"],
        ["nameserver", "198.51.100.53"],
    ]


# The networks of a run


def test_the_cells_of_a_policy_share_a_network(barasync: Barasync) -> None:
    barasync.configure_script(
        BASE,
        "ip route | grep default",
        f'network = "private"\n[matrix]\nconfig = {[f"c{number}" for number in range(CELLS)]}',
    )

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.err
    lines = {barasync.log(cell) for cell in barasync.statuses()}
    assert len(barasync.statuses()) == CELLS
    assert len(lines) == 1


def test_a_network_that_is_there_is_joined_and_stays(
    barasync: Barasync, service: RigService
) -> None:
    socket_path = service.endpoint.socket_path
    body = {"name": "barasync-test-joined", "dns_enabled": True}
    made = libpod.request(socket_path, "POST", "networks/create", body=body)
    try:
        barasync.configure('[network.team]\nbase = "private"\njoin = "barasync-test-joined"\n')
        printed = run(barasync, "team", f"{GATEWAY} echo $gateway")
        assert "barasync-test-joined" in libpod.networks(socket_path)
    finally:
        libpod.request(socket_path, "DELETE", "networks/barasync-test-joined")

    assert printed == [made["subnets"][0]["gateway"]]


def test_a_network_that_is_not_there_cannot_be_joined(barasync: Barasync) -> None:
    barasync.configure('[network.team]\nbase = "private"\njoin = "barasync-test-nobody"\n')

    ended = barasync("run", BASE, "--workspace", "none", "--network", "team", "--", "true")

    assert ended.code == 4
    assert (
        "barasync.toml: network.team.join: there is no network barasync-test-nobody to join"
        in ended.err
    )
