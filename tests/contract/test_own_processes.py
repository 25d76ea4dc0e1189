"""Cells on a host whose podman gives containers its own processes by default."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig import services
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import Installation, RigService

NATIVE = native_architecture()


@pytest.fixture
def of_the_host(installation: Installation) -> Iterator[RigService]:
    """A service whose containers are in the PID namespace of the host unless they ask."""
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        with Path(environ["CONTAINERS_CONF"]).open("a") as file:
            file.write('pidns = "host"\n')
        service = services.start(installation, environ, directory)
        try:
            yield service
        finally:
            services.stop(service)


def test_a_cell_under_a_policy_sees_no_processes_but_its_own(
    of_the_host: RigService, tmp_path: Path
) -> None:
    environ = {**os.environ, "NO_COLOR": "1"}
    barasync = Barasync(tmp_path, of_the_host.endpoint.url, environ, network=None)
    barasync.configure(
        f"""
        [defaults]
        image = "{of_the_host.busybox(NATIVE)}"
        command = ["sh", "-c", "echo $$"]
        workspace = "none"
        [config.policy]
        network = "local"
        [config.mode]
        network = "none"
        [matrix]
        config = ["policy", "mode"]
        """
    )

    ended = barasync("matrix", "tests")

    assert ended.code == 0, ended.err
    assert barasync.log(f"{NATIVE}-policy") == "1\n"
    # That the service is set up as said.
    assert barasync.log(f"{NATIVE}-mode") != "1\n"
