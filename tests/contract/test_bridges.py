"""What the bridge of a network does to its containers, on real podmans."""

from __future__ import annotations

import os
from pathlib import Path

from barasync.aiopodman.network_quirks import BRIDGE_CHANGES_ITS_ADDRESS
from barasync.aiopodman.version import negotiate
from barasync.networks.interface import interface_name
from tests.rig import libpod
from tests.rig.command import Barasync, read_until
from tests.rig.services import RigService

INTERFACES = Path("/sys/class/net")
SET = "3\n"
"""NET_ADDR_SET: no port of the bridge changes its address any more."""


def made_by_podman_alone(service: RigService, image: str) -> str:
    """Return how the bridge of a network with a container came to its address."""
    socket_path, name = service.endpoint.socket_path, f"barasync-test-{os.getpid()}"
    interface = interface_name(name)
    body = {"name": name, "driver": "bridge", "network_interface": interface}
    libpod.request(socket_path, "POST", "networks/create", body=body)
    try:
        spec = {
            "image": image,
            "command": ["sleep", "60"],
            "netns": {"nsmode": "bridge"},
            "networks": {name: {}},
        }
        made = libpod.request(socket_path, "POST", "containers/create", body=spec)["Id"]
        try:
            libpod.request(socket_path, "POST", f"containers/{made}/start")
            return (INTERFACES / interface / "addr_assign_type").read_text()
        finally:
            libpod.remove_container(socket_path, made)
    finally:
        libpod.request(socket_path, "DELETE", f"networks/{name}")


def test_bridge_changes_its_address__that_of_cells_keeps_it(
    service: RigService, busybox: str, tmp_path: Path
) -> None:
    barasync = Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    (tmp_path / "state").mkdir()
    barasync.configure_script(
        busybox,
        "echo ready; until test -e /state/go; do sleep 0.1; done",
        'network = "private"\nvolumes = ["./state:/state"]',
    )

    with barasync.running("matrix", "tests") as process:
        read_until(process, "ready", 1)
        bridge = INTERFACES / interface_name(f"barasync-{barasync.record().name}-private")
        kind = (bridge / "addr_assign_type").read_text()
        (tmp_path / "state" / "go").touch()
        process.communicate(timeout=40)

    assert kind == SET
    assert process.returncode == 0
    # Where podman sees to it, nothing of ours is needed, and the row of the table says so.
    is_there = BRIDGE_CHANGES_ITS_ADDRESS.is_active(negotiate(service.version).release)
    assert (made_by_podman_alone(service, busybox) != SET) == is_there
