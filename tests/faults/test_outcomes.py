"""What a cell comes to when podman fails at one thing: said, and nothing left."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from barasync.config.schema import ArtifactsOn
from barasync.engine.gate import COLLECTING
from barasync.events import CellFinished, CellStarted
from barasync.matrix.outcome import Status
from tests.fake.faults import (
    EndsAfter,
    Fault,
    Hangs,
    InPieces,
    Inserts,
    Keeps,
    NeverAccepted,
    Refuses,
)
from tests.fake.service import FakeService
from tests.faults.world import CELL, run

pytestmark = pytest.mark.anyio

NO_SPACE = "no space left on device"
PRINTS = "echo one; echo two >&2; printf three"
WRITES = "mkdir out; head -c 100000 /dev/zero > out/large; echo done"
SOON = 5.0


async def test_without_a_fault_everything_arrives_and_nothing_is_left(
    service: FakeService, tmp_path: Path
) -> None:
    ran = await run(service, WRITES, destination=tmp_path, artifacts=("out",))

    assert ran.outcome().status is Status.PASSED
    assert ran.stdout() == b"done\n"
    assert (tmp_path / "a/out/large").stat().st_size == 100_000
    assert service.containers == {}


# Refusals


async def test_a_start_that_podman_refuses_is_its_failure_and_names_the_cause(
    service: FakeService,
) -> None:
    service.inject(Fault("start", Refuses(NO_SPACE)))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert NO_SPACE in ran.outcome().reason
    assert not ran.outcome().output.complete
    assert service.containers == {}


async def test_a_refused_start_of_one_cell_is_none_of_the_others(service: FakeService) -> None:
    service.inject(Fault("start", Refuses(NO_SPACE), labels={CELL: "b"}))

    ran = await run(service, dict.fromkeys("abc", PRINTS))

    assert [ran.outcome(cell).status for cell in "abc"] == [
        Status.PASSED,
        Status.INFRASTRUCTURE_ERROR,
        Status.PASSED,
    ]
    assert service.containers == {}


@pytest.mark.parametrize("operation", ["create", "attach", "inspect"])
async def test_what_podman_refuses_before_the_verdict_is_its_failure(
    service: FakeService, operation: str
) -> None:
    service.inject(Fault(operation, Refuses(NO_SPACE)))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert NO_SPACE in ran.outcome().reason
    assert service.containers == {}


@pytest.mark.parametrize("effect", [Refuses("database is locked"), Hangs()], ids=["500", "hung"])
@pytest.mark.parametrize("operation", ["inspect", "logs", "archive"])
async def test_one_failure_of_podman_over_what_is_read_costs_no_cell_its_verdict(
    service: FakeService, tmp_path: Path, operation: str, effect: Refuses | Hangs
) -> None:
    service.inject(Fault(operation, effect, times=1))
    script = f"{PRINTS}; mkdir out; echo x > out/file; exit 3"

    ran = await run(service, script, destination=tmp_path, artifacts=("out",))

    outcome = ran.outcome()
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 3), outcome
    assert outcome.output.complete
    assert [artifact.problem for artifact in outcome.artifacts] == [None]
    assert service.containers == {}


async def test_a_log_that_cannot_be_read_is_no_success(service: FakeService) -> None:
    service.inject(Fault("logs", Refuses(NO_SPACE)))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert NO_SPACE in ran.outcome().reason
    assert not ran.outcome().output.complete


async def test_a_container_that_podman_does_not_kill_is_not_waited_for(
    service: FakeService, impatient: None
) -> None:
    del impatient
    service.inject(Fault("kill", Refuses("crun: permission denied")))

    began = time.monotonic()
    ran = await run(service, "sleep 1000", timeout=0.05)

    assert time.monotonic() - began < SOON
    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert "permission denied" in ran.outcome().reason
    assert service.containers == {}


# Silence


@pytest.mark.parametrize("operation", ["create", "attach", "start", "inspect"])
async def test_a_request_that_is_never_answered_ends_with_the_clients_patience(
    service: FakeService, operation: str
) -> None:
    service.inject(Fault(operation, Hangs()))

    began = time.monotonic()
    ran = await run(service, PRINTS)

    assert time.monotonic() - began < SOON
    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert "did not answer in time" in ran.outcome().reason
    assert service.containers == {}


async def test_a_container_whose_creation_is_never_confirmed_is_swept_up(
    service: FakeService,
) -> None:
    service.inject(Fault("create", Hangs(performed=True)))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert ran.outcome().container_id is None
    assert "start" not in service.requests
    assert service.containers == {}


async def test_a_container_whose_creation_broke_off_is_found_by_its_name(
    service: FakeService,
) -> None:
    service.inject(Fault("create", Hangs(performed=True, seconds=0.01)))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.PASSED
    assert service.requests.count("create") == 1
    assert service.containers == {}


async def test_a_removal_whose_answer_is_lost_is_asked_for_again(service: FakeService) -> None:
    service.inject(Fault("delete", Hangs(performed=True, seconds=0.01), times=1))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.PASSED
    assert service.containers == {}


# Removal


async def test_a_container_that_cannot_be_removed_is_leaked_and_named(
    service: FakeService, impatient: None
) -> None:
    del impatient
    service.inject(Fault("delete", Keeps("device or resource busy")))

    ran = await run(service, PRINTS)

    outcome = ran.outcome()
    assert outcome.status is Status.LEAKED
    assert outcome.container_id is not None
    assert outcome.container_id[:12] in outcome.reason
    assert list(service.containers.values()) == ["exited"]


async def test_a_removal_that_works_at_the_second_attempt_leaks_nothing(
    service: FakeService,
) -> None:
    service.inject(Fault("delete", Keeps("device or resource busy"), times=1))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.PASSED
    assert service.containers == {}


# Output


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9])
async def test_output_in_pieces_of_any_size_loses_nothing(service: FakeService, size: int) -> None:
    service.inject(*(Fault(stream, InPieces(size)) for stream in ("attach", "logs")))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.PASSED
    assert (ran.stdout(), ran.stderr()) == (b"one\nthree", b"two\n")


async def test_answers_of_every_kind_may_come_in_pieces(
    service: FakeService, tmp_path: Path
) -> None:
    service.inject(Fault("any", InPieces(61)))

    ran = await run(
        service, "mkdir out; echo x > out/file", destination=tmp_path, artifacts=("out",)
    )

    assert ran.outcome().status is Status.PASSED
    assert (tmp_path / "a/out/file").read_text() == "x\n"


@pytest.mark.parametrize("at", [0, 12])
async def test_after_a_malformed_frame_the_log_tells(service: FakeService, at: int) -> None:
    service.inject(Fault("attach", Inserts(at=at)))

    ran = await run(service, "echo one")

    assert ran.outcome().status is Status.PASSED
    assert ran.outcome().output.complete
    assert ran.stdout() == b"one\n"


@pytest.mark.parametrize("size", range(13))
async def test_output_that_breaks_off_anywhere_is_completed_from_the_log(
    service: FakeService, size: int
) -> None:
    service.inject(Fault("attach", EndsAfter(size)))

    ran = await run(service, "echo one; sleep 0.01; echo two; exit 3")

    assert ran.outcome().exit_code == 3
    assert ran.stdout() == b"one\ntwo\n"
    assert ran.outcome().output.complete


async def test_output_that_breaks_off_and_has_no_log_is_no_success(service: FakeService) -> None:
    service.inject(Fault("attach", EndsAfter(12)), Fault("logs", Refuses(NO_SPACE)))

    ran = await run(service, "echo one; sleep 0.05; echo two")

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert NO_SPACE in ran.outcome().reason
    assert ran.stdout() == b"one\n"
    assert not ran.outcome().output.complete


async def test_a_container_that_closes_its_output_early_is_no_loss(service: FakeService) -> None:
    ran = await run(service, "echo one; exec >&- 2>&-; sleep 0.05")

    assert ran.outcome().status is Status.PASSED
    assert ran.outcome().warnings == ()
    assert ran.stdout() == b"one\n"


async def test_what_the_monitor_never_passed_on_is_read_from_the_log(service: FakeService) -> None:
    service.inject(Fault("attach", NeverAccepted()))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.PASSED
    assert ran.outcome().output.complete
    assert (ran.stdout(), ran.stderr()) == (b"one\nthree", b"two\n")


async def test_a_failing_cell_keeps_its_verdict_when_its_output_is_lost(
    service: FakeService,
) -> None:
    service.inject(Fault("attach", Inserts()), Fault("logs", Refuses(NO_SPACE)))

    ran = await run(service, "echo one; exit 3")

    assert ran.outcome().status is Status.FAILED
    assert ran.outcome().exit_code == 3
    assert not ran.outcome().output.complete


# Artifacts


@pytest.mark.parametrize("script", ["echo x >out", "echo x >out; exit 3", "echo x >out; sleep 60"])
@pytest.mark.parametrize("when", list(ArtifactsOn))
async def test_artifacts_are_collected_of_the_cells_of_which_they_are_wanted(
    service: FakeService, tmp_path: Path, script: str, when: ArtifactsOn
) -> None:
    ran = await run(
        service,
        script,
        destination=tmp_path,
        artifacts=("out",),
        artifacts_on=when,
        timeout=2.0,
    )

    passed = script == "echo x >out"
    wanted = {ArtifactsOn.ALWAYS: True, ArtifactsOn.PASSED: passed, ArtifactsOn.FAILED: not passed}
    assert ran.outcome().passed is passed
    assert (tmp_path / "a/out").exists() is wanted[when]
    assert len(ran.outcome().artifacts) == wanted[when]
    assert ("archive" in service.requests) is wanted[when]


async def test_a_cell_whose_artifacts_are_on_their_way_keeps_no_other_from_starting(
    service: FakeService, tmp_path: Path
) -> None:
    service.inject(Fault("archive", Hangs(), labels={CELL: "a"}))

    ran = await run(
        service,
        {"a": "echo x >out", "b": "echo y >out"},
        jobs=1,
        destination=tmp_path,
        artifacts=("out",),
        artifacts_timeout=3.0,
    )

    events = [
        (type(event), event.cell)
        for event in ran.record.events
        if isinstance(event, CellStarted | CellFinished)
    ]
    assert events == [
        (CellStarted, "a"),
        (CellStarted, "b"),
        (CellFinished, "b"),
        (CellFinished, "a"),
    ]
    assert ran.outcome("a").status is Status.ARTIFACTS_INCOMPLETE
    assert ran.outcome("b").passed
    assert service.containers == {}


async def test_cells_that_wait_for_their_collection_keep_no_other_from_starting(
    service: FakeService, tmp_path: Path
) -> None:
    stalled = [f"c{number}" for number in range(COLLECTING + 1)]
    for name in stalled:
        service.inject(Fault("archive", Hangs(), labels={CELL: name}))

    ran = await run(
        service,
        dict.fromkeys((*stalled, "last"), "echo x >out"),
        jobs=1,
        destination=tmp_path,
        artifacts=("out",),
        artifacts_timeout=30.0,
        interrupted_at="last",
    )

    kinds = [type(event) for event in ran.record.events]
    assert kinds[: kinds.index(CellFinished)].count(CellStarted) == len(stalled) + 1
    assert {ran.outcome(name).status for name in stalled} == {Status.ARTIFACTS_INCOMPLETE}
    assert ran.outcome("last").status is Status.CANCELLED
    assert service.containers == {}


async def test_what_ends_a_run_does_not_take_the_verdict_of_cells_that_have_ended(
    service: FakeService, tmp_path: Path
) -> None:
    """One artifact of the first two cells is there, another stalls, and the third cell fails."""
    for name in ("passed", "failed"):
        service.inject(Fault("archive", Hangs(), labels={CELL: name}, skip=1))
    writes = "echo x >out; echo y >log"
    there = " && ".join(f"ls {tmp_path}/{name}/[lo]*" for name in ("passed", "failed"))

    ran = await run(
        service,
        {
            "passed": writes,
            "failed": f"{writes}; exit 5",
            "third": f"until {there}; do sleep 0.02; done; exit 3",
        },
        destination=tmp_path,
        artifacts=("out", "log"),
        artifacts_timeout=30.0,
        fail_fast=True,
    )

    passed, failed = ran.outcome("passed"), ran.outcome("failed")
    assert (passed.status, passed.exit_code) == (Status.ARTIFACTS_INCOMPLETE, 0)
    assert "had not come when the run was stopped" in passed.reason
    assert (failed.status, failed.exit_code) == (Status.FAILED, 5)
    for outcome, name in ((passed, "passed"), (failed, "failed")):
        (kept,) = (item for item in outcome.artifacts if item.problem is None)
        assert [path.name for path in (tmp_path / name).iterdir()] == [kept.source]
        collection = ran.record.collections[name]
        assert [place for place, _ in collection.manifests] == [kept.source]
    assert service.containers == {}


async def test_more_cells_than_are_collected_at_once_all_have_their_artifacts(
    service: FakeService, tmp_path: Path
) -> None:
    cells = {f"c{number}": f"echo {number} >out" for number in range(3 * COLLECTING)}

    ran = await run(service, cells, destination=tmp_path, artifacts=("out",))

    assert {name: ran.outcome(name).passed for name in cells} == dict.fromkeys(cells, True)
    for number, name in enumerate(cells):
        assert (tmp_path / name / "out").read_text() == f"{number}\n"


async def test_a_passed_cell_that_leaves_nothing_for_a_pattern_is_incomplete(
    service: FakeService, tmp_path: Path
) -> None:
    script = "mkdir out; echo x >out/a.log; echo y >out/b.txt"

    ran = await run(
        service, script, destination=tmp_path, artifacts=("out/*.log", "out/*.xml", "none")
    )

    assert ran.outcome().status is Status.ARTIFACTS_INCOMPLETE
    assert ran.outcome().reason == (
        "artifact out/*.xml: nothing below /workspace/out matches the pattern out/*.xml"
    )
    assert [item.problem is None for item in ran.outcome().artifacts] == [True, False, False]
    assert [path.name for path in (tmp_path / "a/out").iterdir()] == ["a.log"]


async def test_a_passed_cell_whose_artifacts_are_too_much_is_incomplete(
    service: FakeService, tmp_path: Path
) -> None:
    ran = await run(
        service, WRITES, destination=tmp_path, artifacts=("out",), artifacts_size=99_999
    )

    assert ran.outcome().status is Status.ARTIFACTS_INCOMPLETE
    assert "more than 99999 bytes (`artifacts_size`" in ran.outcome().reason
    assert list((tmp_path / "a").iterdir()) == []


async def test_a_passed_cell_whose_artifacts_take_too_long_is_incomplete(
    service: FakeService, tmp_path: Path
) -> None:
    service.inject(Fault("archive", Hangs()))

    ran = await run(
        service, WRITES, destination=tmp_path, artifacts=("out",), artifacts_timeout=0.05
    )

    assert ran.outcome().status is Status.ARTIFACTS_INCOMPLETE
    assert "not whole after 0.05 s (`artifacts_timeout`)" in ran.outcome().reason
    assert service.containers == {}


@pytest.mark.parametrize("size", [0, 512, 700, 50_000])
@pytest.mark.parametrize("cleanly", [True, False])
async def test_an_archive_that_is_cut_off_is_incomplete_and_leaves_nothing(
    service: FakeService, tmp_path: Path, size: int, cleanly: bool
) -> None:
    service.inject(Fault("archive", EndsAfter(size, cleanly=cleanly)))

    ran = await run(service, WRITES, destination=tmp_path, artifacts=("out",))

    assert ran.outcome().status is Status.ARTIFACTS_INCOMPLETE
    assert ran.outcome().exit_code == 0
    assert "/workspace/out" in ran.outcome().reason
    assert not (tmp_path / "a/out").exists()
    assert service.containers == {}


async def test_an_archive_that_is_cut_off_cleanly_is_said_to_be_podmans_doing(
    service: FakeService, tmp_path: Path
) -> None:
    service.inject(Fault("archive", EndsAfter(1024)))

    ran = await run(service, WRITES, destination=tmp_path, artifacts=("out",))

    assert "podman cut the archive of /workspace/out off" in ran.outcome().reason


async def test_one_cut_archive_does_not_disturb_the_others(
    service: FakeService, tmp_path: Path
) -> None:
    service.inject(Fault("archive", EndsAfter(700), times=1))
    script = "mkdir one two"

    ran = await run(service, script, destination=tmp_path, artifacts=("one", "two"))

    assert ran.outcome().status is Status.ARTIFACTS_INCOMPLETE
    assert sorted(item.problem is None for item in ran.outcome().artifacts) == [False, True]
