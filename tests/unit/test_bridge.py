"""The address of a bridge, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.networks import bridge


@pytest.mark.parametrize("is_bridge", [True, False])
def test_an_interface_that_is_no_bridge_keeps_what_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, is_bridge: bool
) -> None:
    place = tmp_path / "eth0"
    (place / ("bridge" if is_bridge else "queues")).mkdir(parents=True)
    (place / "addr_assign_type").write_text("0\n")
    (place / "address").write_text("02:00:00:00:00:01\n")
    changed: list[int] = []
    monkeypatch.setattr(bridge, "_INTERFACES", tmp_path)
    monkeypatch.setattr(
        "barasync.networks.bridge.fcntl.ioctl",
        lambda _socket, request, _address: changed.append(request),
    )

    bridge.keep_address("eth0")

    assert len(changed) == is_bridge
