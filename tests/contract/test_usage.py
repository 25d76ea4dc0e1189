"""What cells consume, by the kernel's count and by podman's, on real podmans."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from barasync.aiopodman import ContainerStats, Podman
from barasync.engine.gate import Gates
from barasync.engine.identity import Identity
from barasync.engine.place import FreshPlace
from barasync.engine.usage import CgroupMounts, RunCgroup, parse_mounts
from tests.contract.running import created, finish, shell
from tests.rig import leftovers
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_until
from tests.rig.memory import MEBIBYTE
from tests.rig.waiting import wait_until

NATIVE = native_architecture()
LOOP = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"


def usage_of(barasync: Barasync) -> dict[str, Any]:
    (cell,) = barasync.result()["cells"]
    usage = cell["usage"]
    assert isinstance(usage, dict)
    return usage


def test_a_cell_that_does_nothing_is_not_charged_for_podman(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure_script(busybox, "true")

    barasync("matrix", "tests")

    usage = usage_of(barasync)
    assert usage["exact"]
    assert 0 < usage["peak_memory_bytes"] < 2 * MEBIBYTE
    assert 0 < usage["cpu_seconds"] < 0.03


def test_a_cell_is_charged_for_what_it_allocates(barasync: Barasync, busybox: str) -> None:
    barasync.configure_script(busybox, "dd if=/dev/zero of=/dev/null bs=100M count=1")

    barasync("matrix", "tests")

    usage = usage_of(barasync)
    assert usage["exact"]
    assert 100 * MEBIBYTE < usage["peak_memory_bytes"] < 103 * MEBIBYTE


def test_the_time_on_the_cpu_is_that_of_the_command(barasync: Barasync, busybox: str) -> None:
    barasync.configure_script(busybox, f"{LOOP}; {LOOP}; times")

    barasync("matrix", "tests")

    usage = usage_of(barasync)
    ours = re.findall(r"(\d+)m([0-9.]+)s", barasync.log(NATIVE).splitlines()[0])
    user, system = (60 * int(minutes) + float(seconds) for minutes, seconds in ours)
    assert usage["exact"]
    assert usage["user_seconds"] == pytest.approx(user, rel=0.1, abs=0.05)
    assert usage["cpu_seconds"] == pytest.approx(user + system, rel=0.05, abs=0.03)
    assert usage["user_seconds"] + usage["system_seconds"] == pytest.approx(usage["cpu_seconds"])


@pytest.fixture
def cgroup() -> Iterator[RunCgroup]:
    mounts = parse_mounts(Path("/proc/self/mountinfo").read_text())
    cgroup = RunCgroup(mounts, Identity.current().cgroup("test"))
    yield cgroup
    for directory in cgroup.directories:
        if directory.exists():
            directory.rmdir()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exec tail /dev/zero", (137, True)),
        ("tail /dev/zero; exit 3", (3, True)),
        ("dd if=/dev/zero of=/dev/shm/file bs=1M count=64", (137, True)),
        # What it fills is the page cache, which is no lack of memory.
        ("dd if=/dev/zero of=/file bs=1M count=64; sh -c 'kill -9 $$'; exit $?", (137, False)),
    ],
)
async def test_the_kernel_tells_whether_it_killed_for_lack_of_memory(
    podman: Podman, busybox: str, cgroup: RunCgroup, script: str, expected: tuple[int, bool]
) -> None:
    cell = cgroup.of_attempt("cell")
    spec = replace(
        shell(busybox, script),
        memory_bytes=16 * MEBIBYTE,
        cgroup_parent=cell.path,
        monitor_stays=True,
    )

    place = FreshPlace(podman, spec, gates=Gates(), cgroup=cell, phase=lambda _: nullcontext())
    with anyio.fail_after(30):
        async with place as container:
            ended = await finish(container)

    assert place.oom_kills is not None
    assert (ended.state.state.exit_code, place.oom_kills > 0) == expected
    assert place.usage.peak_memory_bytes is not None
    assert 0.9 * 16 * MEBIBYTE < place.usage.peak_memory_bytes <= 16 * MEBIBYTE


@pytest.mark.anyio
async def test_nothing_is_said_of_kills_where_there_is_no_limit(
    podman: Podman, busybox: str, cgroup: RunCgroup
) -> None:
    cell = cgroup.of_attempt("cell")
    spec = replace(shell(busybox, "true"), cgroup_parent=cell.path, monitor_stays=True)

    place = FreshPlace(podman, spec, gates=Gates(), cgroup=cell, phase=lambda _: nullcontext())
    async with place as container:
        await finish(container)

    # Version 2 counts what the host's lack of memory kills as well.
    assert place.oom_kills in {None, 0}
    assert (place.oom_kills is None) is (cgroup.mounts.controller("memory") is not None)


def test_the_cgroup_of_a_cell_goes_with_its_container_and_not_with_the_run(
    barasync: Barasync, busybox: str
) -> None:
    names = [f"c{number}" for number in range(12)]
    script = "test $BARASYNC_CONFIG != last || { echo ready; sleep 1000; }"
    more = f'memory = "64m"\nstop_grace = 0\n[matrix]\nconfig = {[*names, "last"]}'
    barasync.configure_script(busybox, script, more)

    with barasync.running("matrix", "tests", "--jobs", "4") as process:
        read_until(process, "| ready", 1)
        events = barasync.record() / "events.jsonl"
        wait_until(
            lambda: events.read_text().count('"cell.finished"') == len(names),
            "the others have ended",
        )
        run = leftovers.cgroups([barasync.record().name])
        left = {path.name for directory in run for path in Path(directory).glob("*/")}
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)

    assert left == {f"{NATIVE}-last-1"}


@pytest.fixture
def unified(tmp_path: Path) -> Iterator[RunCgroup]:
    """A cgroup in the second version's hierarchy, which a host with the first one has as well."""
    directory = tmp_path / "unified"
    directory.mkdir()
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", directory], check=True)
    try:
        yield RunCgroup(CgroupMounts(v1=(), v2=directory), Identity.current().cgroup("test"))
    finally:
        subprocess.run(["umount", directory], check=True)


def enable_memory(cgroup: RunCgroup) -> bool:
    """Account for memory below a cgroup, if the first version's hierarchy does not do that."""
    (directory,) = cgroup.directories
    directory.mkdir()
    if "memory" not in (directory.parent / "cgroup.controllers").read_text().split():
        return False
    for each in (directory.parent, directory):
        (each / "cgroup.subtree_control").write_text("+memory")
    return True


def test_a_cgroup_of_version_2_is_read_and_removed(unified: RunCgroup) -> None:
    (run,) = unified.directories
    has_memory = enable_memory(unified)
    container = run / "cell/libpod-1"
    container.mkdir(parents=True)
    script = f"echo $$ > {container}/cgroup.procs; {LOOP}"
    subprocess.run(["sh", "-c", script], check=True)
    container.rmdir()
    cell = unified.of_attempt("cell")

    found = cell.read()
    cell.remove()

    assert list(run.glob("*/")) == []
    run.rmdir()
    usage = found.usage
    assert usage.cpu_seconds is not None
    assert usage.user_seconds is not None
    assert usage.system_seconds is not None
    assert usage.cpu_seconds > 0.02
    assert usage.user_seconds + usage.system_seconds == pytest.approx(usage.cpu_seconds, abs=1e-5)
    if has_memory:
        assert (usage.exact, found.oom_kills) == (True, 0)
        assert usage.peak_memory_bytes is not None
        assert 0 < usage.peak_memory_bytes < 4 * MEBIBYTE
    else:
        assert (usage.exact, usage.peak_memory_bytes, found.oom_kills) == (False, None, None)


def test_usage_is_sampled_where_the_service_seems_to_be_on_another_machine(
    barasync: Barasync, busybox: str
) -> None:
    elsewhere = ("unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh")
    script = "end=$(($(date +%s) + 4)); while [ $(date +%s) -lt $end ]; do :; done"
    barasync.configure_script(busybox, script)

    ended = replace(barasync, within=elsewhere)("matrix", "tests")

    assert ended.code == 0, ended.err
    usage = usage_of(barasync)
    assert not usage["exact"]
    assert usage["peak_memory_bytes"] > 0
    assert usage["cpu_seconds"] > 0.1
    assert "~" in ended.out


@pytest.mark.anyio
async def test_statistics_tell_what_a_running_container_consumes(
    podman: Podman, busybox: str
) -> None:
    script = "i=0; while :; do i=$((i+1)); done"
    async with created(podman, shell(busybox, script)) as container:
        await container.start()
        found: list[ContainerStats] = []
        with anyio.fail_after(30):
            async with podman.containers.stats() as reports:
                async for report in reports:
                    found += [one for one in report.stats or () if one.container_id == container.id]
                    # The first sample may come before the kernel has added anything up.
                    if found and found[-1].cpu_nanoseconds > 0 and found[-1].memory_bytes > 0:
                        break

    assert found[-1].memory_bytes > 0
