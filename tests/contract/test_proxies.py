"""The proxies of who calls, in cells, in steps and in a Containerfile's steps, on real podman."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


class Proxy(BaseHTTPRequestHandler):
    """Says which page was asked for, as if it had fetched it."""

    def do_GET(self) -> None:
        page = f"fetched {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Keep the tests' own output as it is."""


@contextmanager
def proxy() -> Iterator[str]:
    """Where a proxy listens, at an address of this host that stays, as those of bridges do not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probing:
        # Nothing is sent: it is how the kernel is asked for the address of the default route.
        probing.connect(("198.51.100.1", 9))
        address = probing.getsockname()[0]
    with ThreadingHTTPServer((address, 0), Proxy) as server, ThreadPoolExecutor() as pool:
        pool.submit(server.serve_forever)
        try:
            yield f"http://{address}:{server.server_port}/"
        finally:
            server.shutdown()


def test_public_leads_to_them_and_private_names_none(barasync: Barasync) -> None:
    # What a client sends to its proxy; that of busybox does not survive a search for names.
    script = """
        echo ${http_proxy-none}
        place=${http_proxy#http://} && place=${place%/}
        if [ "$place" ]; then
            printf 'GET http://www.example.org/page HTTP/1.0\\r\\n\\r\\n' |
                nc -w 5 ${place%:*} ${place#*:} | tail -n 1
        fi
    """
    table = '[network.web]\nbase = "local"\nallow = ["1-65535/tcp"]\n'

    with proxy() as place:
        behind = replace(barasync, environ={**barasync.environ, "http_proxy": place})
        behind.configure(table)
        ended = {
            network: behind(
                *("run", BASE, "--workspace", "none", "--network", network),
                *("--", "sh", "-c", script),
            )
            for network in ("public", "private", "web")
        }

    assert {network: each.out for network, each in ended.items()} == {
        "public": f"{place}\nfetched http://www.example.org/page\n",
        "private": "none\n",
        "web": "none\n",
    }, [each.err for each in ended.values()]


def test_a_snapshot_of_a_cell_has_none_of_them(barasync: Barasync, service: RigService) -> None:
    command = ("--workspace", "none", "--", "sh", "-c", "echo seen $http_proxy")

    ended = barasync("run", BASE, "--network", "bridge", "--snapshot", "snap:1", *command)

    assert ended.out == f"seen {PROXY}\n", ended.err
    path = "images/localhost/snap:1/get"
    exported = libpod.request(service.endpoint.socket_path, "GET", path)
    assert len(exported) > 1_000_000
    assert WORD.encode() not in exported
