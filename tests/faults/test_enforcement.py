"""A network policy that cannot be enforced starts nothing; one that can is given up again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from barasync.config.policies import PRESETS, Policy
from barasync.matrix.outcome import Status
from barasync.networks.namespace import NamespaceError
from barasync.networks.refused import Refusal
from tests.fake.faults import Dies, Fault, Refuses
from tests.fake.kernel import Destination, Kernel
from tests.fake.service import FakeService
from tests.faults.world import Ran, run

pytestmark = pytest.mark.anyio

ISOLATED = PRESETS["isolated"]
COUNTED = replace(ISOLATED, name="counted", log=True)
REFUSED: dict[Destination, int] = {("198.51.100.9", "tcp", 443): 3}
PRINTS = "echo ran >ran; echo ran"


def failed(ran: Ran, service: FakeService, kernel: Kernel) -> tuple[str, str | None]:
    """Return the reason and the hint of a cell that has not started and has left nothing."""
    outcome = ran.outcome()
    assert outcome.status is Status.INFRASTRUCTURE_ERROR
    assert (ran.stdout(), outcome.exit_code) == (b"", None)
    assert "run" not in outcome.phases
    assert (service.containers, kernel.open) == ({}, 0)
    assert ran.result.exit_code == 4
    return outcome.reason, outcome.hint


async def test_a_cell_runs_once_its_rules_are_in_place(service: FakeService) -> None:
    kernel = Kernel()

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    assert ran.outcome().status is Status.PASSED
    assert ran.stdout() == b"ran\n"
    assert len(kernel.loaded) == 1
    assert kernel.entered == [ran.outcome().container_id]
    assert kernel.open == 0


@pytest.mark.parametrize("step", ["enter", "load", "listing"])
async def test_a_namespace_that_fails_starts_nothing(service: FakeService, step: str) -> None:
    kernel = Kernel({step: NamespaceError("nft is not installed", hint="install nftables")})

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    reason, hint = failed(ran, service, kernel)
    assert reason == (
        "network 'isolated' cannot be enforced, so the cell was not started: nft is not installed"
    )
    assert hint == 'install nftables; `network = "none"` does without'


async def test_rules_that_are_not_as_they_were_loaded_start_nothing(service: FakeService) -> None:
    kernel = Kernel(loses="ct state established accept")

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    reason, _ = failed(ran, service, kernel)
    assert "the rules are not as they were loaded: rule 8 of chain output is" in reason
    assert len(kernel.loaded) == 1


async def test_a_process_that_cannot_be_seen_starts_nothing(service: FakeService) -> None:
    # The fake's containers are processes of this host in no cgroup of theirs.
    ran = await run(service, PRINTS, policy=ISOLATED)

    reason, _ = failed(ran, service, Kernel())
    assert "cannot be enforced" in reason


async def test_a_host_whose_addresses_cannot_be_told_starts_nothing(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("barasync.networks.host._PROC", tmp_path)
    kernel = Kernel()

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    reason, hint = failed(ran, service, kernel)
    assert "so the cell was not started: the addresses of the host cannot be told" in reason
    assert "hidepid" in str(hint)
    assert kernel.loaded == []


async def test_a_cell_without_a_policy_needs_no_namespace(service: FakeService) -> None:
    kernel = Kernel({"enter": NamespaceError("nft is not installed")})

    assert (await run(service, PRINTS, enter=kernel.enter)).outcome().passed


async def test_a_failure_is_not_tried_again_by_another_attempt(service: FakeService) -> None:
    kernel = Kernel({"load": NamespaceError("Operation not permitted")})

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter, retries=3)

    failed(ran, service, kernel)
    assert len(kernel.entered) == 1


@pytest.mark.parametrize(
    ("script", "policy", "told"),
    [
        ("exit 3", ISOLATED, True),
        ("exit 3", COUNTED, True),
        ("true", ISOLATED, False),
        ("true", COUNTED, True),
    ],
)
async def test_what_was_refused_is_known_and_told_of_cells_that_failed_or_are_logged(
    service: FakeService, script: str, policy: Policy, *, told: bool
) -> None:
    kernel = Kernel(refused=REFUSED, untold=1)

    ran = await run(service, script, policy=policy, enter=kernel.enter)

    assert ran.outcome().passed == (script == "true")
    assert ran.outcome().refused == (Refusal("198.51.100.9", "tcp", 443, 3),)
    assert ran.outcome().refused_packets == 4
    says = f"its network '{policy.name}' refused 198.51.100.9 443/tcp (3 packets), and 1 packet to "
    assert ran.outcome().refused_note.startswith(says) == told
    assert bool(ran.outcome().refused_note) == told
    assert kernel.open == 0


async def test_counters_that_cannot_be_read_change_no_verdict(service: FakeService) -> None:
    async def break_nft() -> None:
        kernel.in_the_way["listing"] = NamespaceError("nft did not end within 10 s")

    kernel = Kernel(after={"listing": break_nft})

    ran = await run(service, PRINTS, policy=COUNTED, enter=kernel.enter)

    assert ran.outcome().status is Status.PASSED
    assert ran.outcome().warnings == (
        "what its network refused is not known: nft did not end within 10 s",
    )


async def test_a_start_that_is_asked_for_again_has_its_rules_loaded_again(
    service: FakeService,
) -> None:
    service.inject(Fault("start", Dies(comes_back=True), times=1))
    kernel = Kernel()

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter, outage=10.0)

    assert ran.outcome().passed, ran.outcome().reason
    first, second = kernel.loaded
    assert first.startswith("create table")
    assert second == f"table inet barasync\ndelete table inet barasync\n{first}"
    assert kernel.open == 0


async def test_a_quick_command_of_a_container_that_was_made_anew_has_not_passed(
    service: FakeService,
) -> None:
    kernel = Kernel(lives=False, unchanged=lambda _container: False)

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert "'isolated' is not known to have been enforced" in ran.outcome().reason
    assert (kernel.open, service.containers) == (0, {})


async def test_a_refused_start_gives_the_namespace_up(service: FakeService) -> None:
    service.inject(Fault("start", Refuses("no such luck")))
    kernel = Kernel()

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert (kernel.open, service.containers) == (0, {})


async def test_a_cell_that_is_cancelled_gives_the_namespace_up(
    service: FakeService, tmp_path: Path
) -> None:
    kernel = Kernel()

    ran = await run(
        service,
        {"a": "sleep 1000", "b": "true"},
        policy=ISOLATED,
        enter=kernel.enter,
        destination=tmp_path,
        jobs=2,
        interrupted_at="b",
    )

    assert ran.outcome("a").status is Status.CANCELLED
    assert (kernel.open, service.containers) == (0, {})
