"""What the bridge of a network does to its containers, on real podmans."""

from __future__ import annotations

import os
from pathlib import Path

from barasync.networks.interface import interface_name
from tests.rig.command import Barasync, read_until
from tests.rig.services import RigService

INTERFACES = Path("/sys/class/net")


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

    # NET_ADDR_SET: no port of the bridge changes it any more.
    assert kind == "3\n"
    assert process.returncode == 0
