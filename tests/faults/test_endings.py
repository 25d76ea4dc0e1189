"""How a command ended, when podman refuses to tell, tells it late, or does not know."""

from __future__ import annotations

import time

import pytest

from barasync.matrix.outcome import Outcome, Status
from tests.fake.faults import EndsAfter, Fault, Hangs, MonitorDies, Refuses
from tests.fake.service import FakeService
from tests.faults.world import IMPATIENT_SECONDS, run

pytestmark = pytest.mark.anyio

LOCKED = "database is locked"
FRAME_BYTES = 12  # of "one\n": its header and itself
OUTPUT_ENDS_EARLY = Fault("attach", EndsAfter(FRAME_BYTES))
SOON = 5.0


@pytest.mark.parametrize("times", [2, None], ids=["for a while", "for ever"])
async def test_a_refusal_to_wait_says_nothing_about_the_command(
    service: FakeService, times: int | None
) -> None:
    service.inject(OUTPUT_ENDS_EARLY, Fault("wait", Refuses(LOCKED), times=times))

    ran = await run(service, "echo one; sleep 0.5; exit 3")

    assert (ran.outcome().status, ran.outcome().exit_code) == (Status.FAILED, 3)
    assert ran.outcome().output.complete
    assert "kill" not in service.requests
    assert service.requests.count("wait") < 10
    assert service.containers == {}


async def test_the_deadline_of_a_cell_bounds_how_long_podman_is_asked(
    service: FakeService,
) -> None:
    service.inject(OUTPUT_ENDS_EARLY, Fault("wait", Refuses(LOCKED)))

    began = time.monotonic()
    ran = await run(service, "echo one; sleep 1000", timeout=0.3)

    assert time.monotonic() - began < SOON
    assert ran.outcome().status is Status.TIMED_OUT
    assert service.containers == {}


async def test_a_container_whose_monitor_died_has_no_verdict_and_is_killed(
    service: FakeService, impatient: None
) -> None:
    del impatient
    service.inject(Fault("start", MonitorDies()))

    ran = await run(service, "sleep 1000")

    outcome = ran.outcome()
    assert (outcome.status, outcome.exit_code) == (Status.INFRASTRUCTURE_ERROR, None)
    assert "the monitor of its container (conmon) is gone" in outcome.reason
    assert "the container was killed" in outcome.reason
    assert not outcome.output.complete
    assert service.containers == {}


def assert_unexplained(outcome: Outcome, why: str) -> None:
    assert (outcome.status, outcome.exit_code) == (Status.INFRASTRUCTURE_ERROR, None)
    assert "the command has ended, as far as its output tells" in outcome.reason
    assert "podman did not tell how" in outcome.reason
    assert why in outcome.reason


@pytest.mark.parametrize(
    ("effect", "why"), [(Refuses(LOCKED), LOCKED), (Hangs(), "did not answer in time")]
)
async def test_where_podman_does_not_tell_how_a_command_ended_its_output_is_kept(
    service: FakeService, effect: Refuses | Hangs, why: str
) -> None:
    service.inject(Fault("inspect", effect))

    ran = await run(service, "echo one; exit 3", client_seconds=IMPATIENT_SECONDS)

    assert_unexplained(ran.outcome(), why)
    assert ran.outcome().output.complete
    assert ran.stdout() == b"one\n"
    assert service.containers == {}


async def test_where_podman_tells_nothing_its_output_counts_as_incomplete(
    service: FakeService,
) -> None:
    service.inject(Fault("inspect", Refuses(LOCKED)), Fault("logs", Refuses(LOCKED)))

    ran = await run(service, "echo one; exit 3")

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert not ran.outcome().output.complete
    assert service.containers == {}


async def test_a_verdict_stands_though_podman_does_not_answer_the_second_look(
    service: FakeService,
) -> None:
    service.inject(Fault("inspect", Refuses(LOCKED), skip=1))

    ran = await run(service, "kill -9 $$")

    assert (ran.outcome().status, ran.outcome().exit_code) == (Status.FAILED, 137)
    assert "SIGKILL" in ran.outcome().reason
