"""Pods, volumes and secrets: what is asked of podman, and what is made of its answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from barasync.aiopodman import (
    Conflict,
    ContainerSpec,
    NotFound,
    Pods,
    PodSpec,
    ProtocolError,
    PublishedPort,
    ServerError,
)
from tests.unit.recorded import CONTAINER, ID, TIMEOUT_SECONDS, answering, refusing

pytestmark = pytest.mark.anyio

# As podman 5.4.2 answers, without what this client does not read.
INFRA, MEMBER = "c02d", "c426"
POD = {
    "Id": ID,
    "Name": "p",
    "State": "Running",
    "Created": "2026-11-27T16:11:09.865925969Z",
    "Labels": {"a": "1"},
    "InfraContainerID": INFRA,
    "SharedNamespaces": ["uts", "ipc", "net"],
    "Containers": [
        {"Id": INFRA, "Name": "p-infra", "State": "running"},
        {"Id": MEMBER, "Name": "one", "State": "exited"},
    ],
}
LISTED = {"Id": ID, "Name": "p", "Status": "Running", "Labels": {"a": "1"}, "InfraId": INFRA}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_pod_that_shares_nothing_has_no_container_of_its_own() -> None:
    service = answering(201, json={"Id": ID})

    async with service.client() as podman:
        assert await podman.pods.create(PodSpec(name="p", labels={"a": "1"})) == ID

    assert service.only.path == "/libpod/pods/create"
    assert json.loads(service.only.body) == {"name": "p", "labels": {"a": "1"}, "no_infra": True}


def test_a_pod_that_shares_is_made_of_an_image() -> None:
    spec = PodSpec(name="p", infra_image="1f3a", infra_command=("sleep", "9"), network="bridge")

    assert spec.to_body() == {
        "name": "p",
        "labels": {},
        "infra_image": "1f3a",
        "infra_command": ["sleep", "9"],
        "netns": {"nsmode": "bridge"},
    }


def test_a_pod_publishes_ports_and_has_a_hostname_for_all_its_containers() -> None:
    spec = PodSpec(
        name="p",
        infra_image="1f3a",
        network="bridge",
        publish=(PublishedPort(80, 8080, address="127.0.0.1"),),
        hostname="here",
    )

    body = spec.to_body()

    assert body["hostname"] == "here"
    assert body["portmappings"] == [
        {"container_port": 80, "host_port": 8080, "protocol": "tcp", "host_ip": "127.0.0.1"}
    ]


@pytest.mark.parametrize("network", ["none", "host"])
def test_a_pod_publishes_nothing_without_a_network_of_its_own(network: str) -> None:
    with pytest.raises(ValueError, match=f"network '{network}' publishes no ports"):
        PodSpec(name="p", infra_image="1f3a", network=network, publish=(PublishedPort(80),))


@pytest.mark.parametrize(
    "wrong", [{"network": "bridge"}, {"infra_command": ("sleep",)}, {"hostname": "here"}]
)
def test_what_only_an_infra_container_can_have_is_refused_without_one(
    wrong: dict[str, object],
) -> None:
    with pytest.raises(ValueError, match="without an infra_image"):
        PodSpec(name="p", **wrong)  # type: ignore[arg-type] # on purpose


def test_a_container_is_in_a_pod_and_may_share_its_network() -> None:
    alone = ContainerSpec(image="1f3a", pod="p").to_body()
    sharing = ContainerSpec(image="1f3a", pod="p", network="pod").to_body()

    assert (alone["pod"], alone["netns"]) == ("p", {"nsmode": "none"})
    assert sharing["pod"] == "p"
    assert "netns" not in sharing
    with pytest.raises(ValueError, match="in no pod"):
        ContainerSpec(image="1f3a", network="pod")


async def test_a_pod_tells_its_containers() -> None:
    async with answering(200, json=POD).client() as podman:
        found = await podman.pods.inspect("p")

    assert (found.state, found.labels) == ("Running", {"a": "1"})
    assert [each.id for each in found.containers] == [INFRA, MEMBER]
    assert [(each.name, each.state) for each in found.members] == [("one", "exited")]


async def test_pods_are_listed_by_label() -> None:
    service = answering(200, json=[LISTED, {**LISTED, "Id": "other", "Labels": {"a": "2"}}])

    async with service.client() as podman:
        found = await podman.pods.list(labels={"a": "1"})

    assert service.only.filters == {"label": ["a=1"]}
    assert [(each.id, each.status) for each in found] == [(ID, "Running")]


async def test_the_containers_of_a_pod_start_stop_and_go_together() -> None:
    service = answering(200, json={**POD, "Err": None, "Errs": None})

    async with service.client() as podman:
        await podman.pods.start("p")
        await podman.pods.stop("p", timeout=3)
        await podman.pods.pause("p")
        await podman.pods.unpause("p")
        await podman.pods.kill("p")
        await podman.pods.remove("p", force=True)

    asked = [(seen.method, seen.path, seen.query) for seen in service.seen]
    assert [each for each in asked if each[0] != "GET"] == [
        ("POST", "/libpod/pods/p/start", {}),
        ("POST", "/libpod/pods/p/stop", {"t": ["3"]}),
        ("POST", "/libpod/pods/p/pause", {}),
        ("POST", "/libpod/pods/p/unpause", {}),
        ("POST", "/libpod/pods/p/kill", {"signal": ["SIGKILL"]}),
        ("DELETE", "/libpod/pods/p", {"force": ["true"]}),
    ]


@pytest.mark.parametrize(
    ("what", "seconds"),
    [
        (lambda pods: pods.start("p"), 20),
        (lambda pods: pods.stop("p", timeout=3), 6),
        (lambda pods: pods.stop("p"), 20),
        (lambda pods: pods.remove("p", force=True), 20),
    ],
    ids=["start", "stop in 3 s", "stop", "remove"],
)
async def test_podman_has_a_time_for_each_container_of_a_pod_and_no_more(
    what: Callable[[Pods], Awaitable[None]], seconds: float
) -> None:
    service = answering(200, json={**POD, "Err": None})

    async with service.client() as podman:
        await what(podman.pods)

    assert [seen.read_seconds for seen in service.seen] == [
        TIMEOUT_SECONDS,
        TIMEOUT_SECONDS + seconds,
    ]


async def test_a_pod_cannot_be_stopped_at_once() -> None:
    async with answering(200).client() as podman:
        with pytest.raises(ValueError, match="1 second at least, not in 0"):
            await podman.pods.stop("p", timeout=0)


async def test_a_pod_that_stays_is_an_error() -> None:
    async with answering(200, json={**POD, "Err": "busy"}).client() as podman:
        with pytest.raises(ServerError, match="pod p was not removed: busy"):
            await podman.pods.remove("p")


async def test_a_pod_that_is_missing_may_be_missing_if_the_caller_says_so() -> None:
    async with refusing(404, "no such pod").client() as podman:
        await podman.pods.remove("p", missing_ok=True)
        assert not await podman.pods.exists("p")
        with pytest.raises(NotFound):
            await podman.pods.remove("p")


@pytest.mark.parametrize(
    ("status", "cause"),
    [(409, "pod already exists"), (500, "top can only be used on running containers")],
)
async def test_what_a_state_does_not_allow_is_a_conflict(status: int, cause: str) -> None:
    async with refusing(status, cause).client() as podman:
        with pytest.raises(Conflict):
            await podman.containers.handle(ID).top()


async def test_an_old_podman_shows_no_processes_where_nothing_runs() -> None:
    service = answering(200, version="4.3.1")

    async with service.client() as podman:
        with pytest.raises(Conflict, match="only be used on running"):
            await podman.containers.handle(ID).top()

    assert service.only.path == f"{CONTAINER}/top"


@pytest.mark.parametrize("version", ["4.3.1", "5.4.2"])
async def test_what_is_no_list_of_processes_is_no_conflict(version: str) -> None:
    async with answering(200, json=[1], version=version).client() as podman:
        with pytest.raises(ProtocolError):
            await podman.containers.handle(ID).top()


async def test_a_newer_podman_that_answers_with_nothing_is_no_conflict() -> None:
    async with answering(200, version="4.6.0").client() as podman:
        with pytest.raises(ProtocolError):
            await podman.containers.handle(ID).top()


async def test_volumes_are_pruned_by_labels() -> None:
    service = answering(200, json=[{"Id": "v1", "Size": 0}, {"Id": "v2", "Err": None}])

    async with service.client() as podman:
        assert await podman.volumes.prune(labels={"run": "r1", "cell": None}) == {"v1", "v2"}

    assert (service.only.method, service.only.path) == ("POST", "/libpod/volumes/prune")
    assert service.only.filters == {"label": ["run=r1", "cell"]}


async def test_volumes_that_pruning_leaves_are_an_error_that_names_them() -> None:
    left = [{"Id": "v1", "Err": "device busy"}, {"Id": "v2"}, {"Id": "v3", "Err": {}}]

    async with answering(200, json=left).client() as podman:
        with pytest.raises(ServerError) as caught:
            await podman.volumes.prune(labels={"run": "r1"})

    assert caught.value.message == (
        "volumes were not removed: v1 (device busy), v3 (podman does not say why)"
    )
    assert (caught.value.method, caught.value.path) == ("POST", "/libpod/volumes/prune")


async def test_all_volumes_of_a_service_are_not_pruned() -> None:
    service = answering(200, json=[])

    async with service.client() as podman:
        with pytest.raises(ValueError, match="label"):
            await podman.volumes.prune(labels={})

    assert service.seen == []


async def test_an_old_podman_prunes_volumes_by_one_label_only() -> None:
    service = answering(200, json=[], version="4.3.1")

    async with service.client() as podman:
        with pytest.raises(ValueError, match="any of several labels: give one"):
            await podman.volumes.prune(labels={"run": "r1", "cell": None})
        await podman.volumes.prune(labels={"run": None})

    assert service.only.filters == {"label": ["run"]}


async def test_a_volume_is_inspected_by_name() -> None:
    service = answering(200, json={"Name": "v1", "Mountpoint": "/m", "Labels": {"a": "1"}})

    async with service.client() as podman:
        found = await podman.volumes.inspect("v1")

    assert service.only.path == "/libpod/volumes/v1/json"
    assert (found.mountpoint, found.labels) == ("/m", {"a": "1"})


async def test_a_secret_is_inspected_by_name() -> None:
    service = answering(200, json={"ID": "545b", "Spec": {"Name": "s1", "Labels": {"a": "1"}}})

    async with service.client() as podman:
        found = await podman.secrets.inspect("s1")

    assert service.only.path == "/libpod/secrets/s1/json"
    assert (found.id, found.spec.labels) == ("545b", {"a": "1"})
