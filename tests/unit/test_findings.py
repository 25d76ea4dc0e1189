"""What the doctor makes of facts."""

from __future__ import annotations

from pathlib import Path

import pytest

from barasync.aiopodman import HostInfo, Info, SecurityInfo, StoreInfo
from barasync.cli import findings
from barasync.cli.findings import Finding
from barasync.cli.host_facts import (
    HostFacts,
    InstalledHook,
    OpenFiles,
    Space,
    TaskLimit,
    host_facts,
    installed_hook,
    parse_cgroup,
    parse_open_files,
)
from barasync.images.emulation import Check, Emulator, State
from barasync.matrix.platforms import Platform
from barasync.networks.hook_files import HookFiles, install

GIBIBYTE = 1024**3
AMD64, ARM64 = Platform("amd64"), Platform("arm64")


def info(*, rootless: bool = False, **host: object) -> Info:
    security = SecurityInfo(rootless=rootless)
    return Info(host=HostInfo(security=security, **host))  # type: ignore[arg-type]


def only(found: Finding | list[Finding]) -> Finding:
    if isinstance(found, Finding):
        return found
    (finding,) = found
    return finding


# Limits


def test_limits_hold_where_the_controllers_are_there() -> None:
    host = info(cgroup_version="v1", cgroup_controllers=["cpu", "memory", "pids", "hugetlb"])

    finding = only([*findings.limits(host, None)])

    assert finding.well
    assert "cpu, memory and pids limits hold" in finding.text


def test_limits_need_delegation__what_is_not_delegated_is_named_with_the_way_to_do_it() -> None:
    host = info(rootless=True, cgroup_version="v2", cgroup_controllers=["memory", "pids"])

    finding = only([*findings.limits(host, {"memory", "pids"})])

    assert not finding.well
    assert "no cpu limits (delegated to the user: memory, pids)" in finding.text
    assert "Delegate=cpu cpuset io memory pids" in str(finding.fix)


@pytest.mark.parametrize(
    ("rootless", "version", "fix"),
    [(True, "v1", "need cgroup v2"), (False, "v2", "the kernel does not offer them")],
)
def test_limits_that_no_delegation_brings_have_another_way(
    rootless: bool, version: str, fix: str
) -> None:
    finding = only([*findings.limits(info(rootless=rootless, cgroup_version=version), None)])

    assert not finding.well
    assert "no cpu, memory, pids limits" in finding.text
    assert fix in str(finding.fix)


# Locks


@pytest.mark.parametrize(("free", "well"), [(2000, True), (99, False), (0, False)])
def test_free_locks_are_what_podman_tells(free: int, well: bool) -> None:
    finding = findings.locks(info(free_locks=free), containers=9, volumes=9)

    assert (finding.text, finding.well) == (f"{free} free", well)


@pytest.mark.parametrize(("volumes", "well"), [(3, True), (1990, False)])
def test_an_old_podman_does_not_tell_its_free_locks(volumes: int, well: bool) -> None:
    finding = findings.locks(info(), containers=2, volumes=volumes)

    assert f"does not tell; 2 containers and {volumes} volumes have one each" in finding.text
    assert finding.well is well


# Open files


def test_open_files_are_told_in_cells() -> None:
    own, theirs = findings.open_files(OpenFiles(1024, 4096), OpenFiles(256, 256), cpus=2)

    assert (own.text, own.well) == ("1024 (hard limit 4096), enough for 120 cells at once", True)
    assert not theirs.well
    assert "LimitNOFILE=320" in str(theirs.fix)


def test_a_large_machine_wants_more_open_files() -> None:
    (own,) = findings.open_files(OpenFiles(1024, 4096), None, cpus=192)

    assert not own.well
    assert "`ulimit -n 1600`" in str(own.fix)


LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max processes             15000                15000                processes
Max open files            1024                 unlimited            files
"""


def test_limits_of_a_process_are_read_from_proc() -> None:
    files = parse_open_files(LIMITS)

    assert files is not None
    assert files.soft == 1024
    assert files.hard > 2**60
    assert parse_open_files("") is None


# Processes


def test_a_limit_on_processes_is_said_only_where_it_is_low() -> None:
    found = [
        *findings.tasks(
            [TaskLimit("kernel.pid_max", 4194304, 300), TaskLimit("pids.max", 2500, 700)]
        )
    ]

    assert [(each.well, each.text) for each in found] == [
        (False, "pids.max allows 2500, and 700 are there")
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("0::/user.slice/a.scope\n", "/user.slice/a.scope"),
        ("11:cpu,cpuacct:/c\n4:pids:/p\n0::/u\n", "/p"),
        ("1:name=systemd:/s\n", None),
    ],
    ids=["v2", "v1", "neither"],
)
def test_the_place_of_a_process_in_a_hierarchy(text: str, place: str | None) -> None:
    assert parse_cgroup(text, "pids") == place


# Storage


@pytest.mark.parametrize(
    ("space", "well", "text"),
    [
        (Space(50 * GIBIBYTE, 100 * GIBIBYTE), True, "50.0 GiB free of 100.0 (50%)"),
        (Space(4 * GIBIBYTE, 10 * GIBIBYTE), False, "4.0 GiB free of 10.0 (40%)"),
        (Space(40 * GIBIBYTE, 1000 * GIBIBYTE), False, "40.0 GiB free of 1000.0 (4%)"),
    ],
    ids=["enough", "under 5 GiB", "under 5 %"],
)
def test_little_space_is_not_well(space: Space, well: bool, text: str) -> None:
    _, found = findings.storage(info(), space)

    assert (found.text, found.well) == (text, well)
    assert "barasync clean" in str(found.fix)


def test_the_space_of_another_machine_is_what_podman_tells() -> None:
    store = StoreInfo(
        graph_driver_name="overlay",
        graph_root="/graph",
        graph_root_allocated=100 * GIBIBYTE,
        graph_root_used=75 * GIBIBYTE,
    )

    driver, space = findings.storage(Info(store=store), None)

    assert driver.text == "overlay in /graph"
    assert space.text == "25.0 GiB free of 100.0 (25%)"


def test_space_that_nobody_tells_is_no_fault() -> None:
    _, space = findings.storage(info(), None)

    assert space.well


def test_a_driver_that_copies_is_not_well() -> None:
    driver, _ = findings.storage(Info(store=StoreInfo(graph_driver_name="vfs")), None)

    assert not driver.well


# The host


def test_the_host_is_told_with_what_is_missing() -> None:
    facts = HostFacts(
        open_files=OpenFiles(1, 1),
        tasks=(),
        directory="/project",
        space=Space(GIBIBYTE, 100 * GIBIBYTE),
        programs={"git": ("/usr/bin/git", "tells"), "nft": (None, "loads rules")},
    )

    found = {each.subject: each for each in findings.host(facts)}

    assert found["runs"].text == "logs and artifacts go below /project"
    assert not found[""].well
    assert found["git"].well
    assert (found["nft"].well, found["nft"].text) == (False, "missing; it loads rules")


def test_networks_are_not_well_where_the_service_is_elsewhere() -> None:
    (elsewhere,) = findings.networks(local=False)

    assert not elsewhere.well
    assert elsewhere.fix == '`network = "none"` does without'
    assert list(findings.networks(local=True)) == []


@pytest.mark.parametrize(
    ("damage", "well", "text"),
    [(None, True, "whole"), ("/gone is not there", False, "/gone is not there")],
)
def test_an_installed_hook_is_told_with_what_is_wrong_with_it(
    damage: str | None, well: bool, text: str
) -> None:
    facts = HostFacts(
        open_files=OpenFiles(1, 1),
        tasks=(),
        directory="/project",
        space=Space(GIBIBYTE, GIBIBYTE),
        programs={},
        hook=InstalledHook(Path("/hooks/x.json"), damage),
    )

    *_, found = findings.host(facts)

    assert (found.subject, found.well) == ("hook", well)
    assert found.text.startswith(f"/hooks/x.json: {text}")


def test_a_hook_is_looked_for_and_looked_at(tmp_path: Path) -> None:
    files = HookFiles(tmp_path)
    assert installed_hook(files) is None

    install(files, python="/gone/python", log=tmp_path / "log", tables={})

    found = installed_hook(files)
    assert found is not None
    assert found.path == files.hook
    assert "/gone/python" in str(found.damage)


def test_the_facts_of_this_host_are_there(tmp_path: Path) -> None:
    (tmp_path / "barasync.toml").write_text("")
    (tmp_path / "below").mkdir()

    facts = host_facts(tmp_path / "below", "/nowhere")

    assert facts.directory == str(tmp_path)
    assert 0 < facts.space.free <= facts.space.total
    assert 0 < facts.open_files.soft <= facts.open_files.hard
    assert "kernel.pid_max" in [limit.name for limit in facts.tasks]
    assert facts.programs["git"][0] is None
    assert {name for name, (path, _) in facts.programs.items() if path} <= {
        *("nft", "nsenter", "iptables", "aardvark-dns")
    }


@pytest.mark.parametrize("program", ["nft", "nsenter", "iptables", "aardvark-dns"])
def test_what_networks_take_is_told_with_its_package(program: str, tmp_path: Path) -> None:
    _, purpose = host_facts(tmp_path, "/nowhere").programs[program]

    assert "(package " in purpose


# Architectures


def architectures(
    checks: list[Check], emulators: list[Emulator], untried: str = "no reason"
) -> list[Finding]:
    return [
        *findings.architectures(
            [AMD64, ARM64],
            checks={check.platform: check for check in checks},
            emulators={emulator.platform: emulator for emulator in emulators},
            untried=untried,
        )
    ]


NATIVE = Emulator(platform=AMD64, state=State.NATIVE)
MISSING = Emulator(platform=ARM64, state=State.MISSING, fix="install it")


def test_what_was_executed_counts_and_not_what_is_registered() -> None:
    registered = Emulator(platform=ARM64, state=State.EMULATED)
    checks = [
        Check(platform=AMD64, works=True, milliseconds=41.6),
        Check(platform=ARM64, works=False, reason="it crashed"),
    ]

    amd64, arm64 = architectures(checks, [NATIVE, registered])

    assert (amd64.text, amd64.well) == ("native, executed in 42 ms", True)
    assert (arm64.text, arm64.well) == ("does not run: it crashed", False)


def test_what_lacks_an_emulator_says_how_to_get_one() -> None:
    checks = [Check(platform=ARM64, works=False, reason="no emulator")]

    here = architectures(checks, [NATIVE, MISSING])[1]
    elsewhere = architectures(checks, [])[1]

    assert here.fix == "install it"
    assert "on the machine of the service" in str(elsewhere.fix)


def test_without_a_service_there_is_what_is_registered_and_why_no_more() -> None:
    amd64, arm64 = architectures([], [NATIVE, MISSING], untried="there is no podman service")

    assert amd64.text == "native; not executed: there is no podman service"
    assert (amd64.well, arm64.well, arm64.fix) == (True, False, "install it")
