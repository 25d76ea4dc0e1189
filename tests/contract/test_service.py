"""The embedded service on this host as it is: its cgroups, its limits, no systemd."""

from __future__ import annotations

import os
import select
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import ServiceError, service_launch
from barasync.aiopodman.service import PrivateService, private_service
from barasync.aiopodman.service_host import find_cgroup_cover
from barasync.aiopodman.service_launch import GUARD, STOP_SECONDS
from tests.rig import busybox, leftovers, libpod, services
from tests.rig.services import Installation, RigService

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024
NO_NETWORK = {"netns": {"nsmode": "none"}}

# Stands in for a podman that never listens: the guard starts it like podman.
STUB = ("sh", "-c")


@dataclass(frozen=True, slots=True)
class Place:
    """Storage of its own for one test, and the podman to use it with."""

    installation: Installation
    directory: Path
    environ: dict[str, str]

    @property
    def podman(self) -> tuple[str, ...]:
        return self.installation.program(self.directory / "scratch")


@pytest.fixture
def place(installation: Installation) -> Iterator[Place]:
    yield from _place(installation)


@pytest.fixture
def host_place() -> Iterator[Place]:
    yield from _place(services.host_podman())


@pytest.fixture
def rootless_place() -> Iterator[Place]:
    yield from _place(services.rootless_podman())


def _place(installation: Installation) -> Iterator[Place]:
    with services.private_directory(installation.user) as directory:
        environ = services.isolated_environment(directory, default_ulimits=False)
        yield Place(installation, directory, environ)
        left = leftovers.clear(directory)
        assert not left


@pytest.fixture
def host_environ(tmp_path: Path) -> dict[str, str]:
    """An environment for services that do not get as far as to use podman's storage."""
    return {"PATH": services.SANE_PATH, "HOME": str(tmp_path)}


async def run(
    service: PrivateService | RigService, *command: str, **spec: Any
) -> tuple[int, bytes]:
    """Run a busybox container, with the limits that the service asks for."""
    socket_path = service.endpoint.socket_path
    limits = [_rlimit(limit) for limit in service.rlimits]

    def in_thread() -> tuple[int, bytes]:
        native = busybox.native_architecture()
        image = libpod.import_image(
            socket_path, busybox.archive(native), reference="localhost/b:1", architecture=native
        )
        return libpod.run_container(
            socket_path, image=image, command=[*command], r_limits=limits, **NO_NETWORK, **spec
        )

    return await anyio.to_thread.run_sync(in_thread)


def _rlimit(limit: Any) -> dict[str, Any]:
    kind, soft, hard = limit if isinstance(limit, tuple) else (limit.type, limit.soft, limit.hard)
    return {"type": kind, "soft": soft, "hard": hard}


def host_cgroup_mounts() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if "/sys/fs/cgroup" in line]


def mount_namespace(pid: int) -> Path:
    return Path(f"/proc/{pid}/ns/mnt").readlink()


def wait_for_end(pid: int, *, seconds: float) -> bool:
    """Wait until a process is gone, a child of ours or not."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)


async def test_a_container_runs_within_its_memory(place: Place) -> None:
    limit = {"resource_limits": {"memory": {"limit": 48 * MEBIBYTE, "swap": 48 * MEBIBYTE}}}
    async with private_service(environ=place.environ, podman=place.podman) as service:
        within = await run(
            service, "dd", "if=/dev/zero", "of=/dev/null", "bs=8M", "count=1", **limit
        )
        beyond = await run(
            service, "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1", **limit
        )

    assert within[0] == 0
    assert beyond[0] == 137


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_the_service_is_the_installed_podman(place: Place) -> None:
    async with private_service(environ=place.environ, podman=place.podman) as service:
        assert place.installation.name.startswith(f"podman-{service.version}")


async def test_it_leaves_no_process_mount_or_socket(place: Place) -> None:
    before = host_cgroup_mounts()
    async with private_service(environ=place.environ, podman=place.podman) as service:
        await run(service, "true")
        during = host_cgroup_mounts()
        socket_path = Path(service.endpoint.socket_path)
        socket_mode = socket_path.parent.stat().st_mode & 0o777

    assert socket_mode == 0o700
    assert during == before == host_cgroup_mounts()
    assert not socket_path.parent.exists()
    assert wait_for_end(service.pid, seconds=0)
    assert leftovers.settled(partial(leftovers.processes_of, place.directory)) == []
    assert leftovers.mounts_below(place.directory / "run") == []


@pytest.mark.whole_host
def test_only_podmans_own_mounts_reach_a_host_that_shares_them(place: Place) -> None:
    sharing = ("unshare", "--mount", "--propagation", "shared")
    service = services.start(place.installation, place.environ, place.directory, within=sharing)
    its_host = Path(f"/proc/{service.holder.pid}/mountinfo").read_text()
    services.stop(service)

    def points(text: str) -> Counter[str]:
        return Counter(line.split()[4] for line in text.splitlines())

    new = points(its_host) - points(Path("/proc/self/mountinfo").read_text())
    assert new.keys() <= {"/run/netns", f"{place.directory}/graph/overlay"}


async def test_an_ordinary_host_gets_no_mount_namespace(host_place: Place) -> None:
    cover = await to_thread.run_sync(find_cgroup_cover)
    hide = 'test -z "$1" || mount --bind "$1" "$2"; shift 2; exec "$@"'
    paths = (cover.source, cover.mount_point) if cover else ("", "")
    ordinary = ("unshare", "--mount", "sh", "-c", hide, "sh", *paths)
    service = services.start(
        host_place.installation, host_place.environ, host_place.directory, within=ordinary
    )
    namespaces = {mount_namespace(pid) for pid in (service.holder.pid, service.pid)}
    code, _ = await run(service, "true")
    services.stop(service)

    assert code == 0
    assert len(namespaces) == 1
    assert len(service.notes) == 1


async def test_stopping_does_not_wait_for_a_client_that_streams(place: Place) -> None:
    async with private_service(environ=place.environ, podman=place.podman) as service:
        events = await anyio.connect_unix(service.endpoint.socket_path)
        await events.send(b"GET /v4.0.0/libpod/events?stream=true HTTP/1.1\r\nHost: podman\r\n\r\n")
        await events.receive()
        started = anyio.current_time()

    assert anyio.current_time() - started < 5
    await events.aclose()


async def test_an_exception_in_the_block_comes_out_as_it_is(place: Place) -> None:
    with pytest.raises(KeyError):
        async with private_service(environ=place.environ, podman=place.podman) as service:
            raise KeyError
    assert wait_for_end(service.pid, seconds=0)


async def test_cancellation_ends_the_service_first(place: Place) -> None:
    with anyio.CancelScope() as scope:
        async with private_service(environ=place.environ, podman=place.podman) as service:
            scope.cancel()
            await anyio.sleep_forever()
    assert wait_for_end(service.pid, seconds=0)


async def test_the_terminals_interrupt_does_not_reach_the_service(place: Place) -> None:
    async with private_service(environ=place.environ, podman=place.podman) as service:
        assert os.getsid(service.pid) != os.getsid(0)


async def test_it_is_the_service_even_where_podman_is_told_to_use_another(place: Place) -> None:
    environ = {**place.environ, "CONTAINER_HOST": "unix:///nowhere/podman.sock"}
    async with private_service(environ=environ, podman=place.podman) as service:
        assert service.version.release >= (4, 0, 0)


async def test_what_it_prints_never_blocks_it(place: Place) -> None:
    shout = "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo done >&2; exec \"$@\""
    program = ("sh", "-c", shout, "sh", *place.podman)
    async with private_service(environ=place.environ, podman=program) as service:
        code, _ = await run(service, "true")
        complaints = service.complaints()

    assert code == 0
    assert "done" in complaints
    assert sum(map(len, complaints)) <= 16 * 1024


@pytest.mark.whole_host
def test_it_ends_when_its_parent_is_killed(place: Place) -> None:
    service = services.start(place.installation, place.environ, place.directory)

    service.holder.kill()
    services.stop(service)

    assert wait_for_end(service.pid, seconds=10)
    assert leftovers.settled(partial(socket_directories, service)) == []


@pytest.mark.whole_host
def test_rootless_it_ends_when_its_parent_is_killed(rootless_place: Place) -> None:
    service = services.start(
        rootless_place.installation, rootless_place.environ, rootless_place.directory
    )

    service.holder.kill()
    services.stop(service)

    assert wait_for_end(service.pid, seconds=10)
    assert leftovers.settled(partial(socket_directories, service)) == []


def socket_directories(service: RigService) -> list[str]:
    directory = Path(service.endpoint.socket_path).parent
    return [str(directory)] if directory.exists() else []


async def test_rootless_a_container_runs_and_the_service_ends(rootless_place: Place) -> None:
    service = services.start(
        rootless_place.installation, rootless_place.environ, rootless_place.directory
    )
    owner = (await anyio.Path(f"/proc/{service.pid}").stat()).st_uid
    code, _ = await run(service, "true")
    services.stop(service)

    assert code == 0
    assert owner == rootless_place.directory.stat().st_uid
    assert wait_for_end(service.pid, seconds=0)
    assert service.holder.returncode == 0


@pytest.mark.whole_host
def test_a_later_service_removes_the_containers_of_a_killed_one(place: Place) -> None:
    killed = services.start(place.installation, place.environ, place.directory)
    socket_path = killed.endpoint.socket_path
    image = killed.busybox(busybox.native_architecture())
    container = libpod.request(
        socket_path,
        "POST",
        "containers/create",
        body={
            "image": image,
            "command": ["sleep", "1000"],
            "r_limits": [_rlimit(limit) for limit in killed.rlimits],
            **NO_NETWORK,
        },
    )["Id"]
    libpod.request(socket_path, "POST", f"containers/{container}/start")
    killed.holder.kill()
    services.stop(killed)
    assert wait_for_end(killed.pid, seconds=10)

    later = services.start(place.installation, place.environ, place.directory)
    state = libpod.request(later.endpoint.socket_path, "GET", f"containers/{container}/json")
    libpod.remove_container(later.endpoint.socket_path, container)
    remaining = libpod.containers(later.endpoint.socket_path)
    services.stop(later)

    assert state["State"]["Status"] == "running"
    assert remaining == {}


async def test_without_podman_the_error_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"podman is not installed.*apt-get install podman"):
        async with private_service(environ={"PATH": str(tmp_path)}):
            pytest.fail("there is no podman")


async def test_a_service_that_dies_at_once_gives_its_last_words(
    host_environ: dict[str, str],
) -> None:
    dying = (*STUB, "echo first >&2; echo cannot find newuidmap >&2; exit 125", "podman")
    with pytest.raises(ServiceError, match=r"(?s)status 125.*first\n +cannot find newuidmap$"):
        async with private_service(environ=host_environ, podman=dying):
            pytest.fail("the service has died")


async def test_a_service_killed_by_a_signal_is_said_to_be(host_environ: dict[str, str]) -> None:
    dying = (*STUB, "kill -KILL $$", "podman")
    with pytest.raises(ServiceError, match="signal 9"):
        async with private_service(environ=host_environ, podman=dying):
            pytest.fail("the service has died")


def answering(version: str, then: str = "") -> tuple[str, ...]:
    """Return a program that answers one ping like a podman of this version."""
    answer = rf"HTTP/1.1 200 OK\r\nLibpod-API-Version: {version}\r\n\r\n"
    serve = "import signal, socket; c, _ = socket.socket(fileno=3).accept(); c.recv(999); "
    return (sys.executable, "-c", f"{serve}{then}c.sendall(b'{answer}'); c.recv(1); signal.pause()")


async def test_a_podman_that_is_too_old_is_refused(host_environ: dict[str, str]) -> None:
    with pytest.raises(ServiceError, match=r"3\.0\.1 is too old"):
        async with private_service(environ=host_environ, podman=answering("3.0.1")):
            pytest.fail("the service is too old")


async def test_a_service_that_does_not_stop_is_killed(
    host_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = f"polls={round(STOP_SECONDS / 0.02)}"
    assert patient in GUARD
    monkeypatch.setattr(service_launch, "GUARD", GUARD.replace(patient, "polls=2"))
    stubborn = answering("5.4.2", "signal.signal(signal.SIGTERM, signal.SIG_IGN); ")

    async with private_service(environ=host_environ, podman=stubborn) as service:
        pass

    assert wait_for_end(service.pid, seconds=0)
