"""Services beside cells, of a podman without root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.contract.test_services import configure
from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import RigService


@pytest.mark.parametrize("network", ["none", "local", "private"])
def test_a_cell_finds_its_service_by_name_whatever_its_network(
    rootless_service: RigService, rootless_busybox: str, tmp_path: Path, network: str
) -> None:
    assert rootless_busybox
    url = rootless_service.endpoint.url
    barasync = Barasync(tmp_path, url, {**os.environ, "NO_COLOR": "1"})
    configure(barasync, "wget -q -O - http://web:8000/x", network)

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    native = native_architecture()
    assert barasync.log(native) == "hello\n"
    assert barasync.log(native, "services/web.log").startswith("serving\n")
    assert libpod.containers(rootless_service.endpoint.socket_path) == {}
