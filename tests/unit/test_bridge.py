"""The address of a bridge, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.networks import bridge


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """What is asked of the kernel, where interfaces are directories of `tmp_path`."""
    asked: list[int] = []
    monkeypatch.setattr(bridge, "_INTERFACES", tmp_path)
    monkeypatch.setattr(
        "barasync.networks.bridge.fcntl.ioctl",
        lambda _socket, request, _address: asked.append(request),
    )
    return asked


@pytest.mark.parametrize("is_bridge", [True, False])
def test_an_interface_that_is_no_bridge_keeps_what_it_has(
    changes: list[int], tmp_path: Path, *, is_bridge: bool
) -> None:
    place = tmp_path / "eth0"
    (place / ("bridge" if is_bridge else "queues")).mkdir(parents=True)
    (place / "addr_assign_type").write_text("0\n")
    (place / "address").write_text("02:00:00:00:00:01\n")

    bridge.keep_address("eth0")

    assert len(changes) == is_bridge


@pytest.mark.parametrize("is_bridge", [True, False])
def test_only_a_bridge_is_taken_down_and_removed(
    changes: list[int], tmp_path: Path, *, is_bridge: bool
) -> None:
    (tmp_path / "eth0" / ("bridge" if is_bridge else "queues")).mkdir(parents=True)

    bridge.remove_bridge("eth0")

    # linux/sockios.h: SIOCSIFFLAGS, SIOCBRDELBR
    assert changes == ([0x8914, 0x89A1] if is_bridge else [])
