"""The rig itself: what the other contract tests take for granted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from barasync.aiopodman import Podman
from tests.rig import libpod
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
