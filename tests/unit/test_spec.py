from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from barasync.aiopodman.health import HealthCheck
from barasync.aiopodman.spec import (
    LOG_BYTES,
    ContainerSpec,
    Mount,
    PublishedPort,
    Rlimit,
    SecretFile,
)

BARE = ContainerSpec(image="1f3a")


def test_a_bare_spec_leaves_everything_but_the_network_to_podman() -> None:
    assert BARE.to_body() == {
        "image": "1f3a",
        "netns": {"nsmode": "none"},
        "log_configuration": {"driver": "k8s-file", "size": LOG_BYTES},
    }


def test_a_full_spec_says_it_all() -> None:
    spec = ContainerSpec(
        image="1f3a",
        command=("make", "check"),
        entrypoint=("/bin/sh",),
        name="cell",
        env={"A": "b"},
        only_env=True,
        only_users=True,
        no_volumes=True,
        labels={"l": "1"},
        work_dir="/workspace",
        make_work_dir=True,
        user="1000:1000",
        timeout=90,
        memory_bytes=64 * 1024**2,
        cpus=1.5,
        pids_limit=100,
        network="bridge",
        networks={"policy": ("db", "database"), "other": ()},
        dns_servers=("10.89.0.1", "fd00::1"),
        dns_search=(".",),
        extra_hosts={"mirror": "192.0.2.9", "mirror6": "2001:db8::9"},
        image_hosts=True,
        health_check=HealthCheck(command=("pg_isready", "-q")),
        publish=(PublishedPort(80), PublishedPort(53, 5353, "udp", "127.0.0.1")),
        cap_add=("SYS_TIME",),
        cap_drop=("NET_ADMIN", "NET_RAW"),
        own_processes=True,
        unprivileged=True,
        mounts=(Mount("/src", "/dst", ("ro",)), Mount("cache", "/cache")),
        overlays=(Mount("/project", "/workspace"),),
        hidden=("/workspace/record",),
        secret_files=(SecretFile("s1", "KEY"), SecretFile("s2", "/etc/key", mode=0o400)),
        secret_env={"TOKEN": "s3"},
        cgroup_parent="/barasync/cell",
        monitor_stays=True,
        rlimits=(Rlimit("nofile", 1024, 2048),),
        terminal=True,
        stdin=True,
        architecture="arm64",
    )

    assert spec.to_body() == {
        "image": "1f3a",
        "command": ["make", "check"],
        "entrypoint": ["/bin/sh"],
        "name": "cell",
        "env": {"A": "b"},
        "unsetenvall": True,
        "manage_password": False,
        "image_volume_mode": "ignore",
        "labels": {"l": "1"},
        "work_dir": "/workspace",
        "create_working_dir": True,
        "user": "1000:1000",
        "timeout": 90,
        "resource_limits": {
            "memory": {"limit": 67108864, "swap": 67108864},
            "cpu": {"quota": 150_000, "period": 100_000},
            "pids": {"limit": 100},
        },
        "netns": {"nsmode": "bridge"},
        "networks": {"policy": {"aliases": ["db", "database"]}, "other": {"aliases": []}},
        "dns_server": ["10.89.0.1", "fd00::1"],
        "dns_search": ["."],
        "hostadd": ["mirror:192.0.2.9", "mirror6:2001:db8::9"],
        "use_image_hosts": True,
        "healthconfig": {
            "Test": ["CMD", "pg_isready", "-q"],
            "Interval": 0,
            "Timeout": 3_600_000_000_000,
            "Retries": 1,
            "StartPeriod": 0,
        },
        "portmappings": [
            {"container_port": 80, "host_port": 0, "protocol": "tcp", "host_ip": ""},
            {"container_port": 53, "host_port": 5353, "protocol": "udp", "host_ip": "127.0.0.1"},
        ],
        "cap_add": ["SYS_TIME"],
        "cap_drop": ["NET_ADMIN", "NET_RAW"],
        "pidns": {"nsmode": "private"},
        "privileged": False,
        "log_configuration": {"driver": "k8s-file", "size": LOG_BYTES},
        "mounts": [
            {
                "type": "bind",
                "source": "/src",
                "destination": "/dst",
                "options": ["ro", "rbind"],
            },
            {
                "type": "tmpfs",
                "destination": "/workspace/record",
                "options": ["ro", "notmpcopyup"],
            },
        ],
        "overlay_volumes": [{"source": "/project", "destination": "/workspace", "options": []}],
        "volumes": [{"Name": "cache", "Dest": "/cache", "Options": []}],
        "secrets": [
            {"Source": "s1", "Target": "KEY", "UID": 0, "GID": 0, "Mode": 0o444},
            {"Source": "s2", "Target": "/etc/key", "UID": 0, "GID": 0, "Mode": 0o400},
        ],
        "secret_env": {"TOKEN": "s3"},
        "cgroup_parent": "/barasync/cell",
        "cgroups_mode": "no-conmon",
        "r_limits": [{"type": "nofile", "soft": 1024, "hard": 2048}],
        "terminal": True,
        "stdin": True,
        "image_arch": "arm64",
    }


def test_a_binding_that_is_given_is_kept() -> None:
    body = replace(BARE, mounts=(Mount("/a", "/b", ("bind",)),)).to_body()

    assert body["mounts"] == [
        {"type": "bind", "source": "/a", "destination": "/b", "options": ["bind"]}
    ]


def test_a_sliver_of_a_cpu_is_at_least_one_microsecond() -> None:
    body = replace(BARE, cpus=0.000001).to_body()

    assert body["resource_limits"] == {"cpu": {"quota": 1, "period": 100_000}}


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": 0}, {"memory_bytes": -1}, {"cpus": 0.0}, {"pids_limit": 0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_limit_that_is_not_positive_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be positive"):
        replace(BARE, **wrong)


def test_only_a_source_that_is_no_path_is_a_named_volume() -> None:
    spec = replace(BARE, mounts=(Mount("/a", "/b"), Mount("cache", "/c")))

    assert spec.named_volumes == (Mount("cache", "/c"),)


def test_the_namespace_of_another_container_is_joined_by_its_id() -> None:
    body = replace(BARE, network="container:90e4").to_body()

    assert body["netns"] == {"nsmode": "container", "value": "90e4"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"network": "pasta"}, "there is no network 'pasta'"),
        ({"network": "container:"}, "there is no network 'container:'"),
        ({"networks": {"policy": ()}}, "'none' a container is on no network by name"),
        ({"network": "host", "networks": {"policy": ()}}, "'host' a container is on no network"),
    ],
    ids=["unknown", "of nobody", "named without", "named on the host"],
)
def test_a_network_that_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(BARE, **wrong)


def test_a_health_check_may_be_a_line_for_the_shell__its_times_are_nanoseconds() -> None:
    check = HealthCheck(
        command="test -e /ok", interval=1.5, timeout=0.5, retries=4, start_period=10
    )

    assert replace(BARE, health_check=check).to_body()["healthconfig"] == {
        "Test": ["CMD-SHELL", "test -e /ok"],
        "Interval": 1_500_000_000,
        "Timeout": 500_000_000,
        "Retries": 4,
        "StartPeriod": 10_000_000_000,
    }


@pytest.mark.parametrize(
    "wrong",
    [{"command": ()}, {"command": ""}, {"interval": -1}, {"timeout": 0}, {"retries": 0}],
    ids=str,
)
def test_a_health_check_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="health check"):
        HealthCheck(**{"command": "true", **wrong})


def test_a_container_may_be_without_the_health_check_of_its_image() -> None:
    assert ContainerSpec(image="1f3a", no_health_check=True).to_body()["healthconfig"] == {
        "Test": ["NONE"]
    }
    with pytest.raises(ValueError, match="cannot be without one"):
        ContainerSpec(image="1f3a", no_health_check=True, health_check=HealthCheck(command="true"))
