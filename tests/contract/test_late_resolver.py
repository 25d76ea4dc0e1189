"""A network's resolver that is started before the kernel is done with an address of the bridge.

Seldom enough that no load brings it about; with duplicate address detection on the bridge, which
netavark turns off there, every new one is such a bridge. That takes a host of the test's own.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, Podman, ResolverFailed, quirks
from barasync.aiopodman.service_threads import thread_at_home
from tests.contract.running import created
from tests.rig import leftovers, libpod, services
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.services import Installation, RigService
from tests.rig.waiting import wait_until

NAME = "barasync-test"
CELLS = 24
# What podman keeps of its resolver on a host is there for all namespaces.
OWN_HOST = (
    *("unshare", "--net", "--mount", "--propagation", "private", "sh", "-ec"),
    'mkdir -p /run/containers; mount -t tmpfs tmpfs /run/containers; ip link set lo up; exec "$@"',
    "sh",
)
RESOLVES = "nslookup $BARASYNC_CELL >/dev/null && echo resolved"


@pytest.fixture
def own_host(installation: Installation) -> Iterator[RigService]:
    """A service that has a network of the host to itself, without networks or containers."""
    with services.private_directory(installation.user) as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        service = services.start(installation, environ, directory, within=OWN_HOST)
        try:
            yield service
        finally:
            services.stop(service)
            left = leftovers.clear(directory)
        assert not left


def detect_duplicates(service: RigService, *, by: bool) -> None:
    """Have new addresses of its host looked for elsewhere, or used at once."""
    setting = f"net.ipv6.conf.all.accept_dad={int(by)}"
    command = [*beside(service), "sysctl", "-qw", setting]
    subprocess.run(command, check=True)


def beside(service: RigService) -> tuple[str, ...]:
    """Return what executes a command in the network of a service's host."""
    return ("nsenter", "--target", str(thread_at_home(service.pid, "net")), "--net")


def project(service: RigService, directory: Path, script: str) -> Barasync:
    environ = {**os.environ, "NO_COLOR": "1"}
    environ.pop("BARASYNC_NETWORK", None)
    barasync = Barasync(directory, service.endpoint.url, environ, network=None, timeout=200.0)
    barasync.configure_script(service.busybox(native_architecture()), script)
    return barasync


def removed(service: RigService) -> bool:
    """Tell whether podman has removed a container."""
    query = {
        "stream": "false",
        "since": "1",
        "filters": json.dumps({"type": ["container"], "event": ["remove"]}),
    }
    return bool(libpod.request(service.endpoint.socket_path, "GET", "events", query=query))


@pytest.mark.anyio
async def test_resolver_listens_too_early__nothing_begins_and_the_container_stays_as_it_was(
    own_host: RigService,
) -> None:
    await to_thread.run_sync(partial(detect_duplicates, own_host, by=True))
    async with Podman(own_host.endpoint) as podman:
        image = own_host.busybox(native_architecture())
        await podman.networks.create(NAME, ipv6=True, dns=True)
        spec = ContainerSpec(
            image=image, command=("sleep", "60"), network="bridge", networks={NAME: ()}
        )
        async with created(podman, spec) as container:
            if quirks.RESOLVER_LISTENS_TOO_EARLY.is_active(podman.version.release):
                with pytest.raises(ResolverFailed, match=r"\(os error 99\)"):
                    await container.init()
                assert (await container.inspect()).state.status == "created"
                await to_thread.run_sync(partial(detect_duplicates, own_host, by=False))
            await container.init()
            assert (await container.inspect()).state.status == "initialized"
        await podman.networks.remove(NAME)


def test_a_cell_runs_in_another_container_once_its_resolver_can_listen(
    own_host: RigService, tmp_path: Path
) -> None:
    detect_duplicates(own_host, by=True)
    barasync = replace(project(own_host, tmp_path, RESOLVES), within=beside(own_host))

    with barasync.running("matrix", "tests") as process:
        wait_until(lambda: removed(own_host), "a container is removed")
        detect_duplicates(own_host, by=False)
        out, err = (stream.decode() for stream in process.communicate(timeout=120))

    assert process.returncode == 0, out + err
    assert barasync.log(native_architecture()) == "resolved\n"


@pytest.mark.parametrize("jobs", [1, 2])
def test_cells_join_and_leave_a_network_of_both_versions_one_after_another(
    service: RigService, tmp_path: Path, jobs: int
) -> None:
    barasync = project(service, tmp_path, "true")

    ended = barasync("matrix", "tests", "--repeat", str(CELLS), "--jobs", str(jobs))

    assert ended.code == 0, ended.out + ended.err
    assert len(barasync.statuses()) == CELLS
