"""What comes of artifacts and of verdicts when podman fails while they are fetched, or stalls."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from barasync.config.schema import ArtifactsOn
from barasync.engine.gate import COLLECTING
from barasync.events import CellFinished, CellStarted
from barasync.matrix.outcome import Status
from tests.fake.faults import EndsAfter, Fault, Hangs, Refuses
from tests.fake.service import FakeService
from tests.faults.world import CELL, run
from tests.rig.command import Barasync

pytestmark = pytest.mark.anyio

WRITES = "mkdir out; head -c 100000 /dev/zero > out/large; echo done"


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


@pytest.mark.parametrize(
    ("when", "fault", "code"),
    [("failed", (), 0), ("always", (Fault("create", Refuses("disk full"), skip=1),), 125)],
)
def test_the_artifacts_of_an_attempt_go_with_the_next_that_has_none(
    service: FakeService, tmp_path: Path, when: str, fault: tuple[Fault, ...], code: int
) -> None:
    service.inject(*fault)
    barasync = Barasync(tmp_path, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    collected = ("--artifact", "/out", "--artifacts-on", when, "--artifacts-dir", "collected")
    retried = ("--retries", "1", "--retry-on", "failed")
    script = f"echo x >out; mkdir {tmp_path}/first 2>/dev/null && exit 3; exit 0"

    image = service.image("localhost/cell")
    ended = barasync("run", image, *collected, *retried, "--", "sh", "-c", script)

    assert ended.code == code, ended.err
    (cell,) = barasync.result()["cells"]
    assert (cell["attempt"], cell["artifacts"]) == (2, [])
    assert (barasync.record() / "cells" / cell["id"] / "artifacts.json").exists()
    assert list((tmp_path / "collected").glob("*/out")) == []


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
