"""The containers of services: what podman is asked to create."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest

from barasync.aiopodman import HealthCheck, Podman
from barasync.artifacts.place import Place
from barasync.config.capabilities import DROPPED
from barasync.config.policies import PRESETS, Policy, PublishedPort
from barasync.config.schema import WorkspaceMode
from barasync.config.services import Healthy, ListensAt, Service
from barasync.engine.hosts_file import hosts
from barasync.engine.idle import Idle
from barasync.engine.job import Job, Session, container_spec
from barasync.engine.network_specs import unconnected
from barasync.engine.networks import CellNetwork
from barasync.engine.service_specs import owner_spec, service_spec
from barasync.engine.usage import CgroupMounts, RunCgroup
from tests.unit.world import cell

DB = Service(
    image="db",
    name="db",
    ready=("true",),
    ready_timeout=20.0,
    command=("serve",),
    env={"A": "b"},
    user="postgres",
    memory=64 * 1024**2,
    cpus=0.5,
)
OWNER = "barasync-run1-a-1-beside"
PRIVATE = replace(
    PRESETS["private"], ports=(PublishedPort(8080),), hosts={"h": ip_address("10.1.1.1")}
)


def session(**fields: Any) -> Session:
    return Session(
        podman=cast("Podman", None),
        run="run1",
        labels={"barasync.run": "run1"},
        project=Path("/nonexistent"),
        cgroup=None,
        rlimits=(),
        clock=time.monotonic,
        **fields,
    )


def job(policy: Policy | None = None, **settings: Any) -> Job:
    given = {"workspace": WorkspaceMode.NONE, "services": (DB,), **settings}
    return Job(
        cell=replace(cell("a", **given), policy=policy),
        number=1,
        image="cell-image",
        command=("test",),
        environment={},
        artifacts=Place(-1, Path("/nonexistent")),
        network=CellNetwork(name="net") if policy is not None else CellNetwork(),
        services=((DB, "db-image"),),
    )


def test_what_would_lift_the_rules_is_dropped_whatever_podman_gives_by_default() -> None:
    spec = container_spec(job(PRIVATE), session())

    assert {"NET_ADMIN", "NET_RAW", "SYS_ADMIN", "BPF", "SYS_MODULE"} < set(spec.cap_drop)
    assert "ALL" not in spec.cap_drop


def test_whoever_is_under_a_policy_sees_no_processes_but_its_own() -> None:
    bound = job(PRIVATE)
    specs = (
        container_spec(bound, session()),
        owner_spec(bound, session(), Idle("idle-image", "/idle")),
        service_spec(bound, session(), DB, "db-image"),
    )

    assert [spec.own_processes for spec in specs] == [True] * 3
    assert [spec.unprivileged for spec in specs] == [True] * 3


def test_the_owner_has_the_network_of_the_cell_and_nothing_else() -> None:
    spec = owner_spec(job(PRIVATE), session(), Idle("idle-image", "/idle"))

    assert (spec.name, spec.image, spec.entrypoint) == (OWNER, "idle-image", ("/idle",))
    assert spec.networks == {"net": ("a",)}
    assert [port.container for port in spec.publish] == [8080]
    assert set(spec.cap_drop) == set(DROPPED)


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_the_owner_has_a_mode_of_podmans_as_it_is(network: str) -> None:
    spec = owner_spec(job(network=network), session(), Idle("idle-image", "/idle"))

    assert (spec.network, spec.networks, spec.cap_drop) == (network, {}, ())


def test_a_service_joins_the_owner_and_has_what_was_asked_for() -> None:
    spec = service_spec(job(PRIVATE), session(), DB, "db-image")

    assert (spec.name, spec.image, spec.command) == (f"{OWNER}-db", "db-image", ("serve",))
    assert (spec.env, spec.user) == ({"A": "b"}, "postgres")
    assert spec.health_check == HealthCheck(command=("true",))
    assert (spec.memory_bytes, spec.cpus, spec.pids_limit) == (64 * 1024**2, 0.5, 4096)
    assert (spec.network, spec.networks, spec.publish) == (f"container:{OWNER}", {}, ())
    assert spec.image_hosts
    assert set(spec.cap_drop) == set(DROPPED)
    assert spec.labels == {"barasync.run": "run1", "barasync.cell": "a", "barasync.attempt": "1"}


def test_podman_is_given_no_check_of_a_service_that_is_ready_by_a_port() -> None:
    port = replace(DB, ready=ListensAt(5432))

    assert service_spec(job(), session(), port, "db-image").health_check is None
    healthy = replace(DB, ready=Healthy())
    assert service_spec(job(), session(), healthy, "db-image").health_check is None


def test_the_cell_joins_the_owner_too() -> None:
    spec = container_spec(job(PRIVATE), session())

    assert (spec.network, spec.networks, spec.publish) == (f"container:{OWNER}", {}, ())
    assert spec.image_hosts
    assert set(spec.cap_drop) == set(DROPPED)


def test_podman_ends_services_by_itself_after_the_cell_would_have_been() -> None:
    timed = job(timeout=100.0)
    cell_timeout = container_spec(timed, session()).timeout
    timeout = service_spec(timed, session(), DB, "db-image").timeout

    assert cell_timeout is not None
    assert timeout is not None
    # Between its start and that of the cell are waits for podman, and what is copied.
    assert timeout >= cell_timeout + DB.ready_timeout + 1800
    assert service_spec(job(), session(), DB, "db-image").timeout is None


def test_services_are_in_a_cgroup_of_the_run_beside_that_of_the_cell() -> None:
    run = replace(session(), cgroup=RunCgroup(CgroupMounts(v1=(), v2=None), "barasync-run1"))
    spec = service_spec(job(), run, DB, "db-image")

    assert spec.cgroup_parent == "/barasync-run1/a-1-services"
    assert spec.monitor_stays
    assert container_spec(job(), run).cgroup_parent == "/barasync-run1/a-1"


def test_nobody_asks_a_proxy_for_a_service() -> None:
    passed = {"http_proxy": "http://proxy:3128", "no_proxy": "example.org"}
    proxied = session(proxies=passed)
    one = replace(job(PRIVATE), network=CellNetwork(name="net", proxies=passed))

    for spec in (
        container_spec(one, proxied),
        service_spec(one, proxied, DB, "db-image"),
    ):
        assert spec.env["http_proxy"] == "http://proxy:3128"
        assert spec.env["no_proxy"] == "example.org,localhost,db"
        assert spec.env["NO_PROXY"] == "localhost,db"
    assert "http_proxy" not in container_spec(job(PRIVATE), proxied).env


def test_a_container_that_shows_files_of_another_has_nothing_of_its_network() -> None:
    spec = unconnected(owner_spec(job(PRIVATE), session(), Idle("idle-image", "/idle")))

    assert (spec.network, spec.networks, spec.publish, spec.extra_hosts) == ("none", {}, (), {})


def test_names_of_services_lead_to_the_loopback_interface() -> None:
    assert hosts(["db", "queue"], {"mirror": ip_address("10.1.1.1")}) == (
        "127.0.0.1 localhost\n"
        "::1 localhost ip6-localhost ip6-loopback\n"
        "127.0.0.1 db\n"
        "127.0.0.1 queue\n"
        "10.1.1.1 mirror\n"
    )
