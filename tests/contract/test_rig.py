"""The rig itself: what the other contract tests take for granted."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable

import pytest

from barasync.aiopodman import Podman
from tests.rig import leftovers, libpod, networks, services
from tests.rig.busybox import native_architecture
from tests.rig.services import RigService

NO_NETWORK = {"netns": {"nsmode": "none"}}


@pytest.mark.anyio
async def test_the_client_talks_to_the_version_that_the_test_is_named_after(
    podman: Podman, service: RigService
) -> None:
    assert str(podman.version) == service.version
    assert f"podman-{service.version}" in service.name


def test_a_container_runs_on_the_busybox_image(service: RigService, busybox: str) -> None:
    code, log = libpod.run_container(
        service.endpoint.socket_path,
        image=busybox,
        command=["sh", "-c", "seq 2; exit 3"],
        **NO_NETWORK,
    )

    assert code == 3
    assert log.count(b"\n") == 2


@pytest.mark.parametrize("architecture", ["arm64", "riscv64"])
def test_a_foreign_busybox_image_says_which_architecture_it_is_for(
    service: RigService, busybox_for: Callable[[str], str], architecture: str
) -> None:
    image = busybox_for(architecture)

    found = libpod.request(service.endpoint.socket_path, "GET", f"images/{image}/json")
    assert found["Architecture"] == architecture


def test_the_rootless_service_runs_containers_without_root(
    rootless_service: RigService, rootless_busybox: str
) -> None:
    socket_path = rootless_service.endpoint.socket_path
    info = libpod.request(socket_path, "GET", "info")

    code, _ = libpod.run_container(
        socket_path, image=rootless_busybox, command=["true"], **NO_NETWORK
    )

    assert info["host"]["security"]["rootless"] is True
    assert code == 0


def test_of_the_networks_of_a_killed_podman_nothing_is_left(
    installation: services.Installation,
) -> None:
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        service = services.start(installation, environ, directory)
        socket_path = service.endpoint.socket_path
        network = {"name": "n1", "ipv6_enabled": True, "dns_enabled": True}
        created = libpod.request(socket_path, "POST", "networks/create", body=network)
        ranges = [each["subnet"] for each in created["subnets"]]
        for name in ("podman", "n1"):
            body = {
                "image": service.busybox(native_architecture()),
                "command": ["sleep", "1000"],
                "netns": {"nsmode": "bridge"},
                "networks": {name: {}},
                "portmappings": [{"container_port": 80, "host_ip": "127.0.0.1"}],
            }
            made = libpod.request(socket_path, "POST", "containers/create", body=body)["Id"]
            libpod.request(socket_path, "POST", f"containers/{made}/start")
            state = libpod.request(socket_path, "GET", f"containers/{made}/json")["State"]
            os.kill(state["ConmonPid"], signal.SIGKILL)
            os.kill(state["Pid"], signal.SIGKILL)
        services.stop(service)
        place = networks.place_of(directory)
        assert place is not None
        left = networks.left_of(place)
        assert leftovers.clear(directory) != []

    kinds = Counter(line.split()[0] for line in left)
    assert kinds["bridge"] == 2
    assert kinds["rule"] > 10
    assert kinds["chain"] >= 3
    if installation.name == services.host_podman().name:
        # Another root has a /run of its own, which ends with its last process.
        assert (kinds["namespace"], kinds["names"]) == (2, 1)
    assert networks.left_of(place) == []
    ruleset = subprocess.run(["nft", "list", "ruleset"], capture_output=True, check=True).stdout
    assert len(ranges) == 2
    assert [each for each in ranges if each in str(left)] == ranges
    assert [each for each in ranges if each in ruleset.decode()] == []
