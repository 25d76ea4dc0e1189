"""What takes a kernel to hold: limits, mounts, users, terminals, and podman's files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barasync.aiopodman import ContainerSpec, Mount, Podman
from barasync.aiopodman.spec import LOG_BYTES
from tests.contract.running import created, finish, run, shell
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio


async def test_log_is_the_services__it_stays_bounded_and_the_output_complete(
    podman: Podman, service: RigService, busybox: str
) -> None:
    size = 3 * 1024**2  # of empty lines, which take 45 bytes each in podman's log

    async with created(podman, shell(busybox, f"yes '' | head -c {size}")) as container:
        result = await finish(container)
        directory = service.directory / "graph/overlay-containers" / container.id / "userdata"
        logged = sum(path.stat().st_size for path in directory.glob("ctr.log*"))

    assert len(result.stdout) == size
    assert 0 < logged <= LOG_BYTES


async def test_a_terminal_makes_one_stream_of_two(podman: Podman, busybox: str) -> None:
    spec = ContainerSpec(
        image=busybox, command=("sh", "-c", "echo out; echo err >&2"), terminal=True
    )

    result = await run(podman, spec)

    assert result.stdout == b"out\r\nerr\r\n"
    assert result.stderr == b""


async def test_settings_reach_the_command(podman: Podman, busybox: str) -> None:
    spec = ContainerSpec(
        image=busybox,
        command=("sh", "-c", "pwd; echo $A; id -u"),
        env={"A": "b c"},
        work_dir="/tmp",
        user="65534",
    )

    result = await run(podman, spec)

    assert result.state.state.exit_code == 0
    assert result.stdout.splitlines() == [b"/tmp", b"b c", b"65534"]


async def test_limits_are_those_of_the_containers_cgroup(podman: Podman, busybox: str) -> None:
    files = (
        ("memory/memory.limit_in_bytes", "memory.max"),
        ("memory/memory.memsw.limit_in_bytes", "memory.swap.max"),
        ("cpu/cpu.cfs_quota_us", "cpu.max"),
        ("pids/pids.max", "pids.max"),
    )
    script = "cd /sys/fs/cgroup; " + "; ".join(
        f"cat {first} 2>/dev/null || cat {second}" for first, second in files
    )
    spec = replace(shell(busybox, script), memory_bytes=64 * 1024**2, cpus=0.5, pids_limit=20)

    result = await run(podman, spec)

    memory, swap, quota, pids = result.stdout.decode().splitlines()
    assert memory == str(64 * 1024**2)
    # Version 1 counts memory and swap together, version 2 swap alone.
    assert swap in {memory, "0"}
    assert quota.split()[0] == "50000"
    assert pids == "20"


async def test_mounts_are_where_they_were_asked_for(podman: Podman, busybox: str) -> None:
    spec = ContainerSpec(
        image=busybox,
        command=("sh", "-c", "grep -c ' /mounted ' /proc/mounts; touch /mounted/x || echo refused"),
        mounts=(Mount("/proc", "/mounted", ("ro",)),),
    )

    result = await run(podman, spec)

    assert result.stdout == b"1\nrefused\n"
