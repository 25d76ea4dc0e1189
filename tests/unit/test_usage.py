"""What a cell consumed, read from files laid out as the kernel lays out cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.engine.usage import CellCgroup, CgroupMounts, Reading, parse_mounts

HYBRID = """\
30 23 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


def write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


@pytest.fixture
def v1(tmp_path: Path) -> CgroupMounts:
    write(tmp_path / "memory/run/cell", memory__max_usage_in_bytes="67108864\n")
    times = {"": 1500000000, "_user": 900000000, "_sys": 300000000}
    files = {f"cpuacct__usage{part}": f"{number}\n" for part, number in times.items()}
    write(tmp_path / "cpu/run/cell", **files)
    cpu = tmp_path / "cpu"
    return CgroupMounts(
        v1=(("memory", tmp_path / "memory"), ("cpu", cpu), ("cpuacct", cpu)), v2=None
    )


def test_mounts_are_found_by_controller_also_where_two_share_a_mount() -> None:
    mounts = parse_mounts(HYBRID)

    assert mounts.controller("cpuacct") == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert mounts.controller("memory") == Path("/sys/fs/cgroup/memory")
    assert mounts.v2 == Path("/sys/fs/cgroup/unified")


def test_a_host_without_cgroups_has_no_mounts() -> None:
    assert parse_mounts("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n") == CgroupMounts(v1=(), v2=None)


def test_v1_counters_are_exact(v1: CgroupMounts) -> None:
    usage = CellCgroup(v1, "/run/cell").read().usage

    assert usage.exact
    assert (usage.peak_memory_bytes, usage.cpu_seconds) == (67108864, 1.5)


def test_v1_divides_the_exact_time_as_the_ticks_were_counted(v1: CgroupMounts) -> None:
    usage = CellCgroup(v1, "/run/cell").read().usage

    assert (usage.user_seconds, usage.system_seconds) == (1.125, 0.375)


def test_v1_takes_time_without_a_tick_for_the_users(v1: CgroupMounts) -> None:
    for part in ("user", "sys"):
        (v1.roots[1] / f"run/cell/cpuacct.usage_{part}").write_text("0\n")

    usage = CellCgroup(v1, "/run/cell").read().usage

    assert (usage.user_seconds, usage.system_seconds) == (1.5, 0)


def test_v1_without_the_time_is_not_exact(v1: CgroupMounts) -> None:
    (v1.roots[1] / "run/cell/cpuacct.usage").unlink()

    usage = CellCgroup(v1, "/run/cell").read().usage

    assert (usage.exact, usage.peak_memory_bytes) == (False, 67108864)


def test_v2_counters_are_exact(tmp_path: Path) -> None:
    write(
        tmp_path / "run/cell",
        memory__peak="4096\n",
        cpu__stat="usage_usec 2500000\nuser_usec 1\nsystem_usec 2\n",
    )
    usage = CellCgroup(CgroupMounts(v1=(), v2=tmp_path), "/run/cell").read().usage

    assert usage.exact
    assert (usage.peak_memory_bytes, usage.cpu_seconds) == (4096, 2.5)


def test_v2_without_a_peak_is_not_exact(tmp_path: Path) -> None:
    write(tmp_path / "run/cell", cpu__stat="usage_usec 2500000\nuser_usec 1\nsystem_usec 2\n")
    usage = CellCgroup(CgroupMounts(v1=(), v2=tmp_path), "/run/cell").read().usage

    assert not usage.exact
    assert (usage.peak_memory_bytes, usage.cpu_seconds) == (None, 2.5)


def test_a_cgroup_that_is_not_there_gives_no_figures(tmp_path: Path) -> None:
    found = CellCgroup(CgroupMounts(v1=(), v2=tmp_path), "/run/other").read()

    assert found == Reading()
    assert not found.usage.exact


def test_v2_counts_what_the_kernel_killed_below_the_cgroup(tmp_path: Path) -> None:
    write(tmp_path / "run/cell", memory__events="low 0\nmax 17\noom 2\noom_kill 1\n")

    found = CellCgroup(CgroupMounts(v1=(), v2=tmp_path), "/run/cell").read()

    assert found.oom_kills == 1


def test_v1_limits_all_that_will_be_in_the_cgroup_to_a_little_less(v1: CgroupMounts) -> None:
    limits = [v1.roots[0] / f"run/cell/memory.{name}limit_in_bytes" for name in ("", "memsw.")]
    for file in (*limits, v1.roots[0] / "run/cell/memory.oom_control"):
        file.touch()
    cell = CellCgroup(v1, "/run/cell")

    notices = cell.limit(2**24)

    assert notices is not None
    assert cell.read(notices).oom_kills == 0
    notices.close()
    assert [2**24 - 2**16 <= int(file.read_text()) < 2**24 for file in limits] == [True, True]


def test_v1_tells_nothing_of_kills_without_a_limit(v1: CgroupMounts) -> None:
    cell = CellCgroup(v1, "/run/cell")

    assert cell.limit(None) is None
    assert cell.read().oom_kills is None


def test_v1_tells_nothing_of_kills_where_the_kernel_takes_no_subscription(
    v1: CgroupMounts,
) -> None:
    cell = CellCgroup(v1, "/run/cell")

    assert cell.limit(2**24) is None  # there is no memory.oom_control


def test_v2_needs_no_limit_of_its_own(tmp_path: Path) -> None:
    assert CellCgroup(CgroupMounts(v1=(), v2=tmp_path), "/run/cell").limit(2**24) is None
    assert list(tmp_path.iterdir()) == []


def test_removing_takes_the_empty_cgroups_below_and_leaves_the_neighbours(tmp_path: Path) -> None:
    (tmp_path / "run/cell/conmon").mkdir(parents=True)
    (tmp_path / "run/other").mkdir()

    CellCgroup(CgroupMounts(v1=(), v2=tmp_path), "/run/cell").remove()

    assert [path.name for path in (tmp_path / "run").iterdir()] == ["other"]
