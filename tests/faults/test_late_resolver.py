"""A network's resolver that cannot be started yet, as podman 5.4.2 tells it: nothing has begun."""

from __future__ import annotations

import anyio
import pytest

from barasync.config.policies import PRESETS
from barasync.config.services import Service
from barasync.engine.detached import Detachment
from barasync.engine.network_hints import RESOLVER_IS_LATE
from barasync.matrix.outcome import Status
from tests.fake.faults import Fault, Prunes, Refuses
from tests.fake.kernel import Kernel
from tests.fake.service import FakeService
from tests.faults.world import CELL, run

pytestmark = pytest.mark.anyio

PRIVATE = PRESETS["private"]
CAUSE = (
    "netavark: error while applying dns entries: IO error: aardvark-dns failed to start: Error from"
    " child process\nError starting server failed to bind udp listener on"
    " [fd00:89:0:1::1]:53: IO error: Cannot assign requested address (os error 99)"
)
LATE = Refuses(CAUSE, 500, f"preparing container x for attach: {CAUSE}")
DB = Service(
    image="db",
    name="db",
    command=("sh", "-c", "touch ready; sleep 60"),
    ready=("test", "-e", "ready"),
)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barasync.engine.turn._RESOLVER_PAUSE_SECONDS", 0.0)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cell_runs_once_in_another_container(service: FakeService, times: int) -> None:
    service.inject(Fault("attach", LATE, labels={CELL: "a"}, times=times))
    kernel = Kernel()

    ran = await run(service, dict.fromkeys("ab", "echo once"), policy=PRIVATE, enter=kernel.enter)

    assert ran.result.exit_code == 0, ran.result.problem
    assert [ran.stdout(cell) for cell in "ab"] == [b"once\n"] * 2
    assert ran.outcome().output.complete
    assert (len(kernel.loaded), kernel.open) == (2, 0)
    assert service.containers == {}


async def test_one_that_goes_on_is_started_in_another_container(service: FakeService) -> None:
    service.inject(Fault("init", LATE, times=2))

    ran = await run(
        service,
        "exec sleep 1000",
        detachment=Detachment(),
        policy=PRIVATE,
        enter=Kernel().enter,
    )

    assert ran.outcome().status is Status.PASSED, ran.outcome().reason
    assert list(service.containers) == [ran.outcome().detached]


async def test_services_and_their_cell_get_another_network_namespace(
    service: FakeService,
) -> None:
    service.inject(Fault("init", LATE, times=2))
    kernel = Kernel(namespace_of=service.namespace_of)

    ran = await run(service, "echo ran", services=(DB,), policy=PRIVATE, enter=kernel.enter)

    assert ran.outcome().status is Status.PASSED, ran.outcome().reason
    assert ran.stdout() == b"ran\n"
    assert service.containers == {}


async def test_one_that_is_never_started_is_told_in_podmans_words_with_the_way_out(
    service: FakeService,
) -> None:
    service.inject(Fault("attach", LATE, labels={CELL: "a"}, times=3))

    ran = await run(service, dict.fromkeys("ab", "true"), policy=PRIVATE, enter=Kernel().enter)

    assert [ran.outcome(cell).status for cell in "ab"] == [
        Status.INFRASTRUCTURE_ERROR,
        Status.PASSED,
    ]
    assert "(os error 99)" in ran.outcome().reason
    assert ran.outcome().hint == RESOLVER_IS_LATE
    assert service.containers == {}


@pytest.mark.parametrize("first", ["late", "gone"])
async def test_a_network_that_is_gone_besides_is_made_anew(
    service: FakeService, first: str
) -> None:
    """Nobody uses it in the pause, so somebody may prune it: each has tries of its own."""
    service.inject(Fault("attach", LATE, times=2))
    before = 2 if first == "late" else 0
    service.inject(Fault("create", Prunes(), skip=before, times=1))

    ran = await run(service, "echo once", policy=PRIVATE, enter=Kernel().enter)

    assert ran.outcome().status is Status.PASSED, ran.outcome().reason
    assert ran.stdout() == b"once\n"
    assert service.requests.count("network-create") == 2
    assert service.containers == {}


async def test_an_interruption_ends_the_pause(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.engine.turn._RESOLVER_PAUSE_SECONDS", 1000.0)
    service.inject(Fault("attach", LATE))

    def has_failed() -> bool:
        return "attach" in service.requests and not service.containers

    with anyio.fail_after(50):
        ran = await run(service, "true", interrupted_once=has_failed)

    assert ran.outcome().status is Status.CANCELLED
    assert service.requests.count("attach") == 1
    assert service.containers == {}


async def test_a_start_that_may_have_had_its_effect_is_not_tried_again(
    service: FakeService,
) -> None:
    service.inject(Fault("start", LATE, times=1))

    ran = await run(service, "true", policy=PRIVATE, enter=Kernel().enter)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert service.containers == {}
