"""What cells are expected to take, and what they may take together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from barasync.config.schema import CellSettings
from barasync.engine.admission import capacity, claim, tasks
from barasync.engine.claims import Capacity, Claim
from barasync.engine.history import Ended, History
from barasync.engine.scheduler import Task
from barasync.matrix.cells import Cell, cell_id
from barasync.matrix.outcome import Status
from barasync.matrix.plan import Plan
from barasync.matrix.platforms import parse, short_name

GIBIBYTE = 1 << 30


def planned(
    *names: str, known: dict[str, float] | None = None, failed: str = "", fail_fast: bool = False
) -> dict[str, Task]:
    """Plan cells of the rule `tests` on an amd64 host of which durations are known."""
    history = History()
    for name, seconds in (known or {}).items():
        status = Status.FAILED if name == failed else Status.PASSED
        history.note(Ended(rule="tests", cell=name, status=status, seconds=seconds))
    plan = Plan(rule="tests", args=(), cells=tuple(cell(name) for name in names))
    found = tasks(plan, history, native=parse("amd64"), fail_fast=fail_fast)
    assert [task.id for task in found] == list(names)
    return {task.id: task for task in found}


def expected(*names: str, known: dict[str, float] | None = None) -> list[float]:
    return [task.expected_seconds for task in planned(*names, known=known).values()]


def cell(name: str, **settings: Any) -> Cell:
    arch, _, config = name.partition("-")
    platform = parse(arch)
    assert name == cell_id(short_name(platform), config or None)
    return Cell(
        id=name,
        arch=arch,
        platform=platform,
        config=config or None,
        settings=CellSettings(**settings),
        provenance={},
    )


def test_a_cell_takes_as_long_as_it_did() -> None:
    assert expected("amd64-a", "arm64-a", known={"amd64-a": 3, "arm64-a": 5}) == [3, 5]


def test_where_nothing_is_known_a_foreign_cell_takes_eight_times_as_long() -> None:
    assert expected("amd64", "arm64", "amd64-a", "riscv64-a") == [1, 8, 1, 8]


def test_an_unknown_cell_takes_what_its_configuration_takes_elsewhere() -> None:
    known = {"amd64-a": 10.0, "arm64-b": 80.0, "riscv64-b": 160.0}

    assert expected("arm64-a", known=known) == [80]
    assert expected("amd64-b", "riscv64-b", "s390x-b", known=known) == [15, 160, 120]


def test_a_cell_without_configuration_has_siblings_too() -> None:
    assert expected("arm64", known={"amd64": 10}) == [80]


def test_else_it_takes_what_is_usual_in_the_plan() -> None:
    known = {"amd64-a": 2.0, "amd64-b": 4.0, "arm64-c": 8 * 6.0, "amd64-elsewhere": 100.0}
    names = ("amd64-a", "amd64-b", "arm64-c", "amd64-new", "arm64-new")

    assert expected(*names, known=known)[3:] == [4, 32]


def test_cells_that_failed_last_time_go_first_under_fail_fast_only() -> None:
    known = {"amd64-a": 1.0, "amd64-b": 1.0}

    for fail_fast in (True, False):
        found = planned(*known, known=known, failed="amd64-b", fail_fast=fail_fast)
        assert [task.priority for task in found.values()] == [0, int(fail_fast)]


def test_a_cell_claims_its_limits_and_one_cpu_without() -> None:
    assert claim(CellSettings()) == Claim(cpus=1, memory_bytes=0)
    assert claim(CellSettings(cpus=0.5, memory=GIBIBYTE)) == Claim(cpus=0.5, memory_bytes=GIBIBYTE)


def test_cells_share_the_cpus_of_the_host_and_nine_tenths_of_its_memory() -> None:
    assert capacity(host_cpus=4, host_memory_bytes=1000) == Capacity(cpus=4, memory_bytes=900)


def test_a_number_of_jobs_stands_instead_of_the_cpus() -> None:
    found = capacity(host_cpus=2, host_memory_bytes=1000, jobs=16)

    assert found == Capacity(jobs=16, cpus=None, memory_bytes=900)


def test_totals_that_are_given_count_beside_a_number_of_jobs() -> None:
    found = capacity(
        host_cpus=2, host_memory_bytes=1000, jobs=16, cpus_total=8, memory_total_bytes=5000
    )

    assert found == Capacity(jobs=16, cpus=8, memory_bytes=5000)


def test_the_cells_of_a_rule_take_what_the_rule_took_alone_however_often_they_are_there() -> None:
    history = History()
    for rule, name, seconds in (("a", "amd64", 5), ("b", "arm64", 80), ("a b", "amd64", 1)):
        history.note(Ended(rule=rule, cell=name, status=Status.FAILED, seconds=seconds))
    one = replace(cell("amd64"), rule="a", id="amd64-a-1", repetition=1)
    two = replace(one, id="amd64-a-2", repetition=2)
    other = replace(cell("amd64"), rule="b", id="amd64-b-1", repetition=1)
    plan = Plan(rule="a b", args=(), cells=(one, two, other))

    found = tasks(plan, history, native=parse("amd64"), fail_fast=True)
    assert [task.expected_seconds for task in found] == [5, 5, 10]
    assert [task.priority for task in found] == [1, 1, 0]
