"""The service dies at any request and comes back: the run does not notice, or says so."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from barasync.masking.masker import Masker
from barasync.masking.value import SecretValue
from barasync.matrix.outcome import Status
from tests.fake.faults import Dies, EndsAfter, Fault
from tests.fake.service import FakeService
from tests.faults.world import CELL, run

pytestmark = pytest.mark.anyio

OUTAGE_SECONDS = 10.0
PRINTS = "echo one; echo two >&2; sleep 0.05; printf three; mkdir out; echo x > out/file; exit 3"
OF_A_CELL = ("create", "attach", "start", "logs", "inspect", "mount", "archive", "delete")


@pytest.mark.parametrize("performed", [False, True])
@pytest.mark.parametrize("operation", OF_A_CELL)
async def test_a_cell_outlives_a_service_that_dies_at_one_of_its_requests(
    service: FakeService, tmp_path: Path, operation: str, performed: bool
) -> None:
    service.inject(Fault(operation, Dies(performed=performed, comes_back=True), times=1))

    with anyio.fail_after(OUTAGE_SECONDS):
        ran = await run(
            service, PRINTS, destination=tmp_path, artifacts=("out",), outage=OUTAGE_SECONDS
        )

    outcome = ran.outcome()
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 3), outcome
    assert (ran.stdout(), ran.stderr()) == (b"one\nthree", b"two\n")
    assert outcome.output.complete
    assert service.containers == {}


@pytest.mark.parametrize("size", range(8, 24, 3))
async def test_a_secret_that_the_output_breaks_off_in_is_masked_all_the_same(
    service: FakeService, size: int
) -> None:
    """The log goes on where the stream broke off: what came and what is missing are compared."""
    service.inject(Fault("attach", EndsAfter(size, cleanly=False)))
    masker = Masker([SecretValue(b"hunter2-0123")])

    with anyio.fail_after(OUTAGE_SECONDS):
        ran = await run(service, "printf 'a hunter2-0123 b'", masker=masker)

    outcome = ran.outcome()
    assert ran.stdout() == b"a *** b"
    assert (outcome.status, outcome.output.complete) == (Status.PASSED, True)
    assert "completed from its log" in outcome.warnings[0]
    assert outcome.output.stdout_bytes == len(b"a *** b")


@pytest.mark.parametrize("operation", OF_A_CELL)
async def test_a_service_that_dies_for_one_cell_costs_the_others_nothing(
    service: FakeService, tmp_path: Path, operation: str
) -> None:
    fault = Fault(operation, Dies(comes_back=True), labels={CELL: "b"}, times=1)
    service.inject(fault)

    with anyio.fail_after(OUTAGE_SECONDS):
        ran = await run(
            service,
            dict.fromkeys("abcd", PRINTS),
            destination=tmp_path,
            artifacts=("out",),
            outage=OUTAGE_SECONDS,
        )

    for cell in "acd":
        assert ran.outcome(cell).exit_code == 3, ran.outcome(cell)
        assert (ran.stdout(cell), ran.stderr(cell)) == (b"one\nthree", b"two\n")
    assert service.containers == {}


async def test_a_service_that_stays_away_ends_the_run_with_4(service: FakeService) -> None:
    service.inject(Fault("start", Dies()))

    with anyio.fail_after(OUTAGE_SECONDS):
        ran = await run(service, {"a": "echo one", "b": "echo one"}, outage=0.1)

    assert ran.result.exit_code == 4
    assert ran.result.problem is not None
    assert {outcome.status for outcome in ran.result.outcomes.values()} <= {
        Status.INFRASTRUCTURE_ERROR,
        Status.LEAKED,
    }
