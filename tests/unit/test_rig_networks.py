"""What the tests take for their own on a host that has networks of others in the same range."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.rig import networks

PLACE = networks.Place(5)
ADDRESS = str(PLACE.pool[1])


def rule(chain: str) -> dict[str, Any]:
    there = {"family": "ip", "table": "nat", "chain": chain, "handle": 1}
    match = {"match": {"op": "==", "left": {"payload": {}}, "right": ADDRESS}}
    return {"rule": {**there, "expr": [match, {"accept": None}]}}


def host_with(
    monkeypatch: pytest.MonkeyPatch, *, bridge: str = "lo", chain: str | None = None
) -> None:
    """Have a host with a bridge, and with a rule, that have addresses of the place."""
    address = {"local": ADDRESS, "prefixlen": 26, "scope": "global"}
    said: dict[str, object] = {
        "ip": [{"ifname": bridge, "addr_info": [address]}],
        "nft": {"nftables": [] if chain is None else [rule(chain)]},
        "nsenter": [],
    }

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, 0, json.dumps(said[command[0]]).encode())

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.parametrize("bridge", ["podman1", "barasync7"])
def test_a_bridge_of_a_dead_podman_is_its_place(
    monkeypatch: pytest.MonkeyPatch, bridge: str
) -> None:
    host_with(monkeypatch, bridge=bridge)

    assert networks.left_of(PLACE) == [f"bridge {bridge}"]


@pytest.mark.parametrize("bridge", ["docker0", "virbr0", "br-podman1"])
def test_a_bridge_that_no_podman_names_so_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, bridge: str
) -> None:
    host_with(monkeypatch, bridge=bridge)

    assert networks.left_of(PLACE) == []


def test_a_rule_of_netavarks_is_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    host_with(monkeypatch, chain="NETAVARK_FORWARD")

    (left,) = networks.left_of(PLACE)
    assert left.startswith("rule of ip nat NETAVARK_FORWARD: ")


@pytest.mark.parametrize("chain", ["KUBE-SERVICES", "DOCKER", "POSTROUTING"])
def test_a_rule_of_others_is_left_alone(monkeypatch: pytest.MonkeyPatch, chain: str) -> None:
    host_with(monkeypatch, chain=chain)

    assert networks.left_of(PLACE) == []
