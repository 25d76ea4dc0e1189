"""What a cell comes to when podman fails at one thing: said, and nothing left."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

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
from tests.faults.world import CELL, IMPATIENT_SECONDS, run

pytestmark = pytest.mark.anyio

NO_SPACE = "no space left on device"
BROKEN_DATABASE = "disk I/O error: no such file or directory"
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


@pytest.mark.parametrize("operation", ["create", "attach"])
async def test_a_cell_whose_podman_failed_before_the_start_runs_in_another_container(
    service: FakeService, operation: str
) -> None:
    service.inject(Fault(operation, Refuses(BROKEN_DATABASE), times=1))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.PASSED
    assert ran.outcome().output.complete
    assert ran.stdout() == b"one\nthree"
    assert service.containers == {}


@pytest.mark.parametrize("operation", ["create", "attach"])
async def test_a_podman_that_fails_every_time_is_tried_twice(
    service: FakeService, operation: str
) -> None:
    service.inject(Fault(operation, Refuses(BROKEN_DATABASE), times=2))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert BROKEN_DATABASE in ran.outcome().reason
    assert service.containers == {}


async def test_a_start_that_may_have_had_its_effect_is_not_tried_twice(
    service: FakeService,
) -> None:
    service.inject(Fault("start", Refuses(BROKEN_DATABASE), times=1))

    ran = await run(service, PRINTS)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert service.containers == {}


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


async def test_a_network_that_podman_cannot_set_up_is_told_with_what_to_install(
    service: FakeService,
) -> None:
    service.inject(Fault("attach", Refuses("netavark: No such file or directory (os error 2)")))

    ran = await run(service, PRINTS)

    hint = ran.outcome().hint or ""
    assert "netavark" in ran.outcome().reason
    assert "install the package iptables" in hint
    assert '`network = "none"` does without' in hint
    assert ran.result.exit_code == 4


@pytest.mark.parametrize("effect", [Refuses("database is locked"), Hangs()], ids=["500", "hung"])
@pytest.mark.parametrize("operation", ["inspect", "logs", "stat", "archive"])
async def test_one_failure_of_podman_over_what_is_read_costs_no_cell_its_verdict(
    service: FakeService, tmp_path: Path, operation: str, effect: Refuses | Hangs
) -> None:
    service.inject(Fault(operation, effect, times=1))
    script = f"{PRINTS}; mkdir out; echo x > out/file; exit 3"

    ran = await run(
        service,
        script,
        destination=tmp_path,
        artifacts=("out",),
        client_seconds=IMPATIENT_SECONDS,
    )

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
    ran = await run(service, PRINTS, client_seconds=IMPATIENT_SECONDS)

    assert time.monotonic() - began < SOON
    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert "did not answer in time" in ran.outcome().reason
    assert service.containers == {}


async def test_a_container_whose_creation_is_never_confirmed_is_swept_up(
    service: FakeService,
) -> None:
    service.inject(Fault("create", Hangs(performed=True)))

    ran = await run(service, PRINTS, client_seconds=IMPATIENT_SECONDS)

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
