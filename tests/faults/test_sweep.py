"""What is left when the cells have ended is removed, or said with its ID and the next step."""

from __future__ import annotations

import re

import pytest

from barasync.matrix.outcome import Status
from tests.fake.faults import Fault, Hangs, Keeps, Refuses
from tests.fake.service import FakeService
from tests.faults.world import CELL, IMPATIENT_SECONDS, Ran, run

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("impatient")]

BUSY = "device or resource busy"
UNCONFIRMED = Fault("create", Hangs(performed=True))
"""The container is there, and the attempt does not know it."""


def container_of(ran: Ran, cell: str) -> str:
    container = ran.outcome(cell).container_id
    assert container is not None
    return container


@pytest.mark.parametrize("stuck", "abc")
async def test_a_refusal_to_remove_one_container_keeps_no_other(
    service: FakeService, stuck: str
) -> None:
    service.inject(UNCONFIRMED, Fault("delete", Refuses(BUSY), labels={CELL: stuck}))

    ran = await run(service, dict.fromkeys("abc", "echo one"), client_seconds=IMPATIENT_SECONDS)

    left = container_of(ran, stuck)
    problem = ran.result.problem
    assert list(service.containers) == [f"barasync-run1-{stuck}-1"]
    assert problem is not None
    assert f"container {left[:12]} ({stuck}) could not be removed" in problem
    assert f"`podman rm --force {left[:12]}`" in problem
    assert "`barasync clean`" in problem
    assert {cell: ran.outcome(cell).status for cell in "abc"} == {
        **dict.fromkeys("abc", Status.INFRASTRUCTURE_ERROR),
        stuck: Status.LEAKED,
    }
    assert ran.result.exit_code == 1


async def test_the_container_of_an_earlier_attempt_makes_a_cell_that_passed_leaked(
    service: FakeService,
) -> None:
    service.inject(
        Fault("create", Hangs(performed=True), times=1), Fault("delete", Keeps(BUSY), skip=1)
    )

    ran = await run(service, "echo one", retries=1, client_seconds=IMPATIENT_SECONDS)

    outcome = ran.outcome()
    assert list(service.containers) == ["barasync-run1-a-1"]
    assert outcome.status is Status.LEAKED
    assert outcome.container_id is not None
    assert ran.result.problem is not None
    (left,) = re.findall(r"podman rm --force (\w{12})`", ran.result.problem)
    assert not outcome.container_id.startswith(left)
    assert outcome.reason.startswith(f"container {left} could not be removed")
    assert outcome.hint is not None
    assert left in outcome.hint
    assert not outcome.flaky
    assert ran.stdout() == b"one\n"
    assert ran.result.exit_code == 1


async def test_many_containers_that_stay_are_counted_and_the_next_step_is_one(
    service: FakeService,
) -> None:
    service.inject(Fault("delete", Keeps(BUSY)))

    ran = await run(service, dict.fromkeys("abc", "echo one"))

    assert len(service.containers) == 3
    problem = ran.result.problem
    assert problem is not None
    assert problem.startswith("3 containers could not be removed: ")
    for cell in "abc":
        assert f"{container_of(ran, cell)[:12]} ({cell})" in problem


async def test_what_podman_does_not_remove_in_time_is_left_and_said(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.engine.sweep._SECONDS", 0.2)
    service.inject(UNCONFIRMED, Fault("delete", Hangs()))

    ran = await run(service, "echo one", client_seconds=IMPATIENT_SECONDS)

    assert list(service.containers) == ["barasync-run1-a-1"]
    assert ran.outcome().status is Status.LEAKED
    assert ran.result.problem is not None
    assert container_of(ran, "a")[:12] in ran.result.problem


@pytest.mark.parametrize("effect", [Refuses("database is locked"), Hangs()])
async def test_a_run_that_cannot_look_for_what_is_left_does_not_claim_success(
    service: FakeService, effect: Refuses | Hangs
) -> None:
    service.inject(Fault("list", effect))

    ran = await run(service, "echo one", client_seconds=IMPATIENT_SECONDS)

    assert ran.outcome().status is Status.PASSED
    assert ran.result.problem is not None
    assert "what the run left on the service is not known" in ran.result.problem
    assert "`barasync clean`" in ran.result.problem
    assert ran.result.exit_code == 1
