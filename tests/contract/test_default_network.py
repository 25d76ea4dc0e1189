"""The network of cells for which nothing chooses one, and what is said where it cannot be had."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.rig import probe
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import RigService
from tests.rig.waiting import wait_until

BASE = f"localhost/busybox:{native_architecture()}"
# No other preset lets both names and the loopback interface through, and resets the rest: without
# an interface the address would be unreachable, and without rules nobody would answer.
SCRIPT = """
gateway=$(ip route | sed -n 's/default via \\([^ ]*\\) .*/\\1/p')
nslookup $BARASYNC_CELL $gateway >/dev/null && echo resolved
mkdir /tmp/www; httpd -p 8000 -h /tmp/www
nc -w 5 127.0.0.1 8000 </dev/null && echo itself
nc -w 5 198.51.100.9 443 </dev/null 2>&1 | sed 's/.*: //'
"""
# Asks until two seconds after the others have ended: by then podman has taken them off the network.
ASKING = """
import os, pathlib, socket, time
shared = pathlib.Path("/shared")
(shared / "asking").touch()
asked = failed = 0
last = None
while last is None or time.monotonic() < last:
    asked += 1
    try:
        socket.getaddrinfo(os.environ["BARASYNC_CELL"].encode(), 1)
    except OSError:
        failed += 1
    if last is None and len(list(shared.iterdir())) > 6:
        last = time.monotonic() + 2
print(asked > 100, failed)
"""
# Asks once the resolver has been killed, until it is answered.
PERSISTENT = """
import os, pathlib, socket, time
shared = pathlib.Path("/shared")
name = os.environ["BARASYNC_CELL"].encode()
socket.getaddrinfo(name, 1)
(shared / "asked").touch()
while not (shared / "killed").exists():
    time.sleep(0.05)
for _ in range(10):
    try:
        socket.getaddrinfo(name, 1)
    except OSError:
        continue
    print("answered")
    break
raise SystemExit(3)
"""
ENDING = "until test -e /shared/asking; do sleep 0.1; done; touch /shared/$BARASYNC_CONFIG"
PRIVATE = ["resolved", "itself", "Connection refused"]


@pytest.fixture
def barasync(service: RigService, busybox: str, tmp_path: Path) -> Barasync:
    assert busybox
    environ = {**os.environ, "NO_COLOR": "1"}
    environ.pop("BARASYNC_NETWORK", None)
    return Barasync(tmp_path, service.endpoint.url, environ, network=None)


def test_a_container_resolves_names_and_is_refused_the_public(barasync: Barasync) -> None:
    ended = barasync("run", BASE, "--workspace", "none", "--", "sh", "-c", SCRIPT)

    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == PRIVATE


def test_a_test_that_needs_the_internet_is_told_what_lets_it_through(barasync: Barasync) -> None:
    barasync.configure_script(BASE, "nc -w 5 198.51.100.9 443 </dev/null")

    ended = barasync("matrix", "tests")

    assert ended.code == 1, ended.out
    assert (
        f"note: {native_architecture()}: its network 'private' refused 198.51.100.9 443/tcp"
        " (1 packet); `--network public` (without private addresses and loopback) or"
        ' `allow = ["198.51.100.9 443/tcp"]`' in ended.out
    )


def test_a_resolver_that_dies_is_started_anew_and_a_failed_cell_is_told(
    barasync: Barasync, service: RigService, tmp_path: Path
) -> None:
    probe.make_image(service.endpoint.socket_path)
    shared = tmp_path / "shared"
    shared.mkdir()
    barasync.configure(
        f"""
        [defaults]
        image = "{probe.IMAGE}"
        command = {json.dumps([*probe.PYTHON, "-c", PERSISTENT])}
        workspace = "none"
        volumes = ["{shared}:/shared"]
        """
    )
    with barasync.running("matrix", "tests", "--verbose") as process:
        wait_until((shared / "asked").exists, "the cell has asked for a name")
        os.kill(_name_server(service), signal.SIGKILL)
        (shared / "killed").touch()
        process.communicate(timeout=120)

    assert barasync.log(native_architecture(), "stdout.log") == "answered\n"
    (cell,) = barasync.result()["cells"]
    assert cell["exit_code"] == 3
    told = " ".join(cell["warnings"])
    assert "podman's resolver (aardvark-dns) died while it ran" in told, cell


def _name_server(service: RigService) -> int:
    """Return the process of podman's resolver, which is of all rootful podmans with one `/run`."""
    run = Path(f"/proc/{service.thread}/root/run")
    return int((run / "containers/networks/aardvark-dns/aardvark.pid").read_text())


def test_a_name_is_known_while_other_cells_come_and_go(
    barasync: Barasync, service: RigService, tmp_path: Path
) -> None:
    probe.make_image(service.endpoint.socket_path)
    (tmp_path / "shared").mkdir()
    ending = "".join(
        f'[config.c{number}]\nimage = "{BASE}"\ncommand = {json.dumps(["sh", "-c", ENDING])}\n'
        for number in range(6)
    )
    barasync.configure(
        f"""
        [defaults]
        image = "{probe.IMAGE}"
        workspace = "none"
        volumes = ["{tmp_path}/shared:/shared"]
        [matrix]
        config = ["asking", "c0", "c1", "c2", "c3", "c4", "c5"]
        [config.asking]
        command = {json.dumps([*probe.PYTHON, "-c", ASKING])}
        {ending}
        """
    )

    ended = barasync("matrix", "tests", "--jobs", "7")

    assert ended.code == 0, ended.out + ended.err
    assert barasync.log(f"{native_architecture()}-asking", "stdout.log") == "True 0\n"
