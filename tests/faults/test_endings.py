"""How a command ended, when podman refuses to tell, tells it late, or does not know."""

from __future__ import annotations

import time

import pytest

from barasync.matrix.outcome import Status
from tests.fake.faults import EndsAfter, Fault, MonitorDies, Refuses
from tests.fake.service import FakeService
from tests.faults.world import run

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
