"""Containers that are to outlive their command, where podman fails at the wrong moment."""

from __future__ import annotations

import anyio
import pytest

from barasync.aiopodman import HealthCheck
from barasync.config.policies import PRESETS
from barasync.engine.detached import Detachment
from barasync.matrix.outcome import Status
from barasync.networks.namespace import NamespaceError
from tests.fake.faults import Fault, Hangs, Refuses
from tests.fake.kernel import Kernel
from tests.fake.service import FakeService
from tests.faults.world import run

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("impatient")]

GOES_ON = Detachment()
NAME = "barasync-run1-a-1-detached"
WAITING = "exec sleep 1000"
NEVER = HealthCheck(command="false")


async def test_it_goes_on_and_its_name_is_told(service: FakeService) -> None:
    ran = await run(service, WAITING, detachment=GOES_ON)

    outcome = ran.outcome()
    assert (outcome.status, outcome.detached) == (Status.PASSED, NAME)
    assert ran.result.exit_code == 0
    assert list(service.containers) == [NAME]


async def test_one_that_cannot_be_renamed_is_removed(service: FakeService) -> None:
    service.inject(Fault("rename", Refuses("disk full")))

    ran = await run(service, WAITING, detachment=GOES_ON)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert ran.outcome().detached is None
    assert list(service.containers) == []


async def test_one_of_which_nobody_knows_whether_it_was_renamed_is_removed(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.engine.place._RENAME_SECONDS", 0.2)
    service.inject(Fault("rename", Hangs(performed=True)))

    ran = await run(service, WAITING, detachment=GOES_ON)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert list(service.containers) == []


async def test_a_start_that_podman_refuses_leaves_nothing(service: FakeService) -> None:
    service.inject(Fault("start", Refuses("no space left on device")))

    ran = await run(service, WAITING, detachment=GOES_ON)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert list(service.containers) == []


async def test_one_whose_network_policy_cannot_be_enforced_is_not_started(
    service: FakeService,
) -> None:
    kernel = Kernel({"load": NamespaceError("nft is not installed")})

    ran = await run(
        service, WAITING, detachment=GOES_ON, policy=PRESETS["isolated"], enter=kernel.enter
    )

    assert "cannot be enforced, so the cell was not started" in ran.outcome().reason
    assert (list(service.containers), kernel.open) == ([], 0)


async def test_the_rules_of_its_policy_are_loaded_before_it_starts_and_stay_when_it_goes_on(
    service: FakeService,
) -> None:
    kernel = Kernel()

    ran = await run(
        service, WAITING, detachment=GOES_ON, policy=PRESETS["isolated"], enter=kernel.enter
    )

    assert ran.outcome().detached == NAME
    assert kernel.entered == [ran.outcome().container_id]
    assert (len(kernel.loaded), kernel.open) == (1, 0)


async def test_a_check_that_podman_fails_at_is_asked_again_until_the_time_is_over(
    service: FakeService,
) -> None:
    service.inject(Fault("healthcheck", Refuses("no space left on device")))
    detachment = Detachment(health_check=HealthCheck(command="true"), wait_seconds=3.0)

    ran = await run(service, WAITING, detachment=detachment)

    assert ran.outcome().status is Status.FAILED
    assert "was not healthy within 3 s: podman: " in ran.outcome().reason
    assert list(service.containers) == []


async def test_an_interrupted_wait_leaves_nothing(service: FakeService) -> None:
    detachment = Detachment(health_check=NEVER, wait_seconds=60.0)

    def waits() -> bool:
        return "healthcheck" in service.requests

    with anyio.fail_after(50):
        ran = await run(service, WAITING, detachment=detachment, interrupted_once=waits)

    assert ran.outcome().status is Status.CANCELLED
    assert list(service.containers) == []
