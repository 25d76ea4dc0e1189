"""Real podmans for the contract tests: see `tests/rig`.

A test that takes `installation`, `service`, `podman` or `busybox` runs once per rootful podman, and
with the mark `also_fake` against the fake (`tests/fake`) as well. A service starts with the first
test that needs it and ends with the session.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from barasync.aiopodman import Podman
from tests.fake.installation import FAKES, FakeInstallation
from tests.fake.service import FakeService
from tests.rig import faulty_registry, leftovers, libpod, registry, services
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync
from tests.rig.faulty_registry import FaultyRegistry
from tests.rig.registry import Registry
from tests.rig.services import Installation, RigService

AnyInstallation = Installation | FakeInstallation
AnyService = RigService | FakeService


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes `installation` against every podman it is meant for."""
    if "installation" in metafunc.fixturenames:
        chosen: list[AnyInstallation] = [services.host_podman(), services.trixie_podman()]
        if metafunc.definition.get_closest_marker("also_fake") is not None:
            chosen += FAKES
        ids = [installation.name for installation in chosen]
        metafunc.parametrize("installation", chosen, ids=ids, indirect=True, scope="session")


class Rig:
    """The services of this session; one that could not be started is not tried again."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._services: dict[str, AnyService] = {}
        self._failures: dict[str, Exception] = {}

    def service(self, installation: AnyInstallation) -> AnyService:
        name = installation.name
        if name in self._failures:
            raise self._failures[name]
        if name not in self._services:
            try:
                self._services[name] = self._stack.enter_context(_running(installation))
            except Exception as error:
                self._failures[name] = error
                raise
        return self._services[name]

    def close(self) -> None:
        """End all services; a test's leftovers that only show now are raised here."""
        self._stack.close()


def _running(installation: AnyInstallation) -> AbstractContextManager[AnyService]:
    if isinstance(installation, FakeInstallation):
        return installation.running()
    return services.running(installation)


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig()
    namespaces = leftovers.network_namespaces()
    yield rig
    rig.close()
    runs = {path.name for path in tmp_path_factory.getbasetemp().glob("**/.barasync/runs/*")}
    left = leftovers.clear_cgroups(runs)
    left += leftovers.clear_network_namespaces(namespaces)
    assert not left, f"cgroups or networks were left behind: {left}"


@pytest.fixture(scope="session")
def installation(request: pytest.FixtureRequest) -> AnyInstallation:
    """A podman that runs as root, or the fake."""
    chosen = request.param
    assert isinstance(chosen, AnyInstallation)
    return chosen


@pytest.fixture(scope="session")
def service(rig: Rig, installation: AnyInstallation) -> AnyService:
    """A rootful podman service with storage of its own, or the fake."""
    return rig.service(installation)


@pytest.fixture(scope="session")
def rootless_service(rig: Rig) -> AnyService:
    """The host's podman as a user without privileges."""
    return rig.service(services.rootless_podman())


@pytest.fixture(autouse=True)
def nothing_is_left_in_podman(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a container or a network which was not there before; remove it."""
    names = {"service", "rootless_service"} & set(request.fixturenames)
    used = [request.getfixturevalue(name) for name in sorted(names)]
    sockets = [service.endpoint.socket_path for service in used]
    before = [(libpod.containers(path), libpod.networks(path)) for path in sockets]
    yield
    forgotten = []
    for socket_path, (containers, networks) in zip(sockets, before, strict=True):
        new = libpod.containers(socket_path)
        left = new.keys() - containers.keys()
        forgotten += [f"container {new[each]} ({each[:12]})" for each in left]
        libpod.remove_containers(socket_path, left)
        for network in libpod.networks(socket_path) - networks:
            forgotten.append(f"network {network}")
            libpod.request(socket_path, "DELETE", f"networks/{network}")
    assert not forgotten, f"the test left {', '.join(forgotten)}"


@pytest.fixture
async def podman(service: AnyService) -> AsyncIterator[Podman]:
    """A client of the rootful service."""
    async with Podman(service.endpoint) as client:
        yield client


@pytest.fixture
async def rootless_podman(rootless_service: AnyService) -> AsyncIterator[Podman]:
    """A client of the rootless service."""
    async with Podman(rootless_service.endpoint) as client:
        yield client


@pytest.fixture(scope="session")
def busybox(service: AnyService) -> str:
    """The ID of a busybox image of the native architecture."""
    return service.busybox(native_architecture())


@pytest.fixture(scope="session")
def busybox_for(service: AnyService) -> Callable[[str], str]:
    """Gives the ID of a busybox image of an architecture in Debian's spelling, such as `arm64`."""
    return service.busybox


@pytest.fixture(scope="session")
def rootless_busybox(rootless_service: AnyService) -> str:
    """The ID of a busybox image for `rootless_podman`."""
    return rootless_service.busybox(native_architecture())


@pytest.fixture
def barasync(service: AnyService, tmp_path: Path) -> Barasync:
    """The command line in an empty directory, on the rootful service; many modules have another."""
    return Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})


@pytest.fixture(scope="session")
def open_registry() -> Iterator[Registry]:
    """A registry that anybody may use, without TLS."""
    with registry.running() as running:
        yield running


@pytest.fixture(scope="session")
def closed_registry() -> Iterator[Registry]:
    """A registry for those who log in, without TLS."""
    with registry.running(needs_login=True) as running:
        yield running


@pytest.fixture
def faulty(open_registry: Registry) -> Iterator[FaultyRegistry]:
    """A proxy before the open registry, without faults."""
    with faulty_registry.running(open_registry.port) as proxy:
        yield proxy


@pytest.fixture
def no_image_stays(service: AnyService) -> Iterator[None]:
    """Remove what images and manifest lists a test made, and keep those of the rig."""
    socket_path = service.endpoint.socket_path
    before = {image["Id"] for image in libpod.images(socket_path)}
    yield
    for image in libpod.images(socket_path):
        if image["Id"] in before or libpod.is_of_rig(image["RepoTags"]):
            continue
        # The ID of a list would stand for one of its images.
        paths = [f"manifests/{name}" for name in (*(image["RepoTags"] or ()), image["Id"])]
        for path in (*paths, f"images/{image['Id']}"):
            # It is of the other kind, or gone with one that was made of it.
            with suppress(libpod.RefusedError):
                libpod.request(socket_path, "DELETE", path, query={"force": "true"})


@pytest.fixture
def no_run_stays(service: RigService) -> Iterator[None]:
    """Nothing of a run that the test makes is left after it."""
    found = partial(leftovers.of_runs, service.endpoint.socket_path, service.directory)
    before = found()
    yield
    assert leftovers.settled(lambda: [each for each in found() if each not in before]) == []
