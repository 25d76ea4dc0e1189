"""A network policy that cannot be enforced starts nothing; one that can is given up again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest

from barasync.config.policies import PRESETS, Policy
from barasync.matrix.outcome import Status
from barasync.networks.namespace import NamespaceError
from barasync.networks.refused import Refusal
from tests.fake.faults import Dies, Fault, Refuses
from tests.fake.service import FakeService
from tests.faults.world import Ran, run

pytestmark = pytest.mark.anyio

ISOLATED = PRESETS["isolated"]
COUNTED = replace(ISOLATED, name="counted", log=True)
REFUSED = {"concat": ["198.51.100.9", "tcp", 443]}
PRINTS = "echo ran >ran; echo ran"


@dataclass
class Kernel:
    """Stands for the namespaces of containers: what is loaded is there, unless it is to fail."""

    in_the_way: dict[str, NamespaceError] = field(default_factory=dict)
    lives: bool = True
    same: bool = True
    loaded: list[str] = field(default_factory=list)
    open: int = 0
    entered: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def enter(self, _pid: int, container_id: str) -> AsyncIterator[Kernel]:
        self._fail("enter")
        self.entered.append(container_id)
        self.open += 1
        try:
            yield self
        finally:
            self.open -= 1

    def unchanged(self) -> bool:
        return self.same

    async def load(self, text: str) -> None:
        self._fail("load")
        self.loaded.append(text)

    async def listing(self) -> bytes:
        self._fail("listing")
        element = {"elem": {"val": REFUSED, "counter": {"packets": 3, "bytes": 180}}}
        total = {"rule": {"chain": "refused", "expr": [{"counter": {"packets": 4, "bytes": 240}}]}}
        return msgspec.json.encode(
            {"nftables": [{"set": {"name": "refused_ports4", "elem": [element]}}, total]}
        )

    def _fail(self, step: str) -> None:
        if step in self.in_the_way:
            raise self.in_the_way[step]


@pytest.fixture
def all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel lists is what was loaded: comparing is the affair of other tests."""
    monkeypatch.setattr("barasync.engine.enforcement.missing", lambda _rules, _listing: None)


def failed(ran: Ran, service: FakeService, kernel: Kernel) -> tuple[str, str | None]:
    """Return the reason and the hint of a cell that has not started and has left nothing."""
    outcome = ran.outcome()
    assert outcome.status is Status.INFRASTRUCTURE_ERROR
    assert (ran.stdout(), outcome.exit_code) == (b"", None)
    assert "run" not in outcome.phases
    assert (service.containers, kernel.open) == ({}, 0)
    assert ran.result.exit_code == 4
    return outcome.reason, outcome.hint


@pytest.mark.usefixtures("all_there")
async def test_a_cell_runs_once_its_rules_are_in_place(service: FakeService) -> None:
    kernel = Kernel()

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    assert ran.outcome().status is Status.PASSED
    assert ran.stdout() == b"ran\n"
    assert len(kernel.loaded) == 1
    assert kernel.entered == [ran.outcome().container_id]
    assert kernel.open == 0


@pytest.mark.parametrize("step", ["enter", "load", "listing"])
@pytest.mark.usefixtures("all_there")
async def test_a_namespace_that_fails_starts_nothing(service: FakeService, step: str) -> None:
    kernel = Kernel({step: NamespaceError("nft is not installed", hint="install nftables")})

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    reason, hint = failed(ran, service, kernel)
    assert reason == (
        "network 'isolated' cannot be enforced, so the cell was not started: nft is not installed"
    )
    assert hint == 'install nftables; `network = "none"` does without'


async def test_rules_that_are_not_as_they_were_loaded_start_nothing(service: FakeService) -> None:
    kernel = Kernel()

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    reason, _ = failed(ran, service, kernel)
    assert "the rules are not as they were loaded" in reason
    assert len(kernel.loaded) == 1


async def test_a_process_that_cannot_be_seen_starts_nothing(service: FakeService) -> None:
    # The fake's containers are processes of this host in no cgroup of theirs.
    ran = await run(service, PRINTS, policy=ISOLATED)

    reason, _ = failed(ran, service, Kernel())
    assert "cannot be enforced" in reason


@pytest.mark.usefixtures("all_there")
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


@pytest.mark.usefixtures("all_there")
async def test_a_failure_is_not_tried_again_by_another_attempt(service: FakeService) -> None:
    kernel = Kernel({"load": NamespaceError("Operation not permitted")})

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter, retries=3)

    failed(ran, service, kernel)
    assert len(kernel.entered) == 1


@pytest.mark.usefixtures("all_there")
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
    kernel = Kernel()

    ran = await run(service, script, policy=policy, enter=kernel.enter)

    assert ran.outcome().passed == (script == "true")
    assert ran.outcome().refused == (Refusal("198.51.100.9", "tcp", 443, 3),)
    assert ran.outcome().refused_packets == 4
    says = f"its network '{policy.name}' refused 198.51.100.9 443/tcp (3 packets), and 1 packet to "
    assert ran.outcome().refused_note.startswith(says) == told
    assert bool(ran.outcome().refused_note) == told
    assert kernel.open == 0


@pytest.mark.usefixtures("all_there")
async def test_counters_that_cannot_be_read_change_no_verdict(service: FakeService) -> None:
    kernel = Kernel()

    @asynccontextmanager
    async def enter(pid: int, container_id: str) -> AsyncIterator[Kernel]:
        async with kernel.enter(pid, container_id):
            yield kernel
            kernel.in_the_way.clear()

    def spoil(_rules: object, _listing: bytes) -> None:
        kernel.in_the_way["listing"] = NamespaceError("nft did not end within 10 s")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("barasync.engine.enforcement.missing", spoil)
        ran = await run(service, PRINTS, policy=COUNTED, enter=enter)

    assert ran.outcome().status is Status.PASSED
    assert ran.outcome().warnings == (
        "what its network refused is not known: nft did not end within 10 s",
    )


@pytest.mark.usefixtures("all_there")
async def test_a_start_that_is_asked_for_again_has_its_rules_loaded_again(
    service: FakeService,
) -> None:
    service.inject(Fault("start", Dies(comes_back=True), times=1))
    kernel = Kernel()

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter, outage=10.0)

    assert ran.outcome().passed, ran.outcome().reason
    assert len(kernel.loaded) >= 1
    assert kernel.open == 0


@pytest.mark.usefixtures("all_there")
async def test_a_quick_command_of_a_container_that_was_made_anew_has_not_passed(
    service: FakeService,
) -> None:
    kernel = Kernel(lives=False, same=False)

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert "'isolated' is not known to have been enforced" in ran.outcome().reason
    assert (kernel.open, service.containers) == (0, {})


@pytest.mark.usefixtures("all_there")
async def test_a_refused_start_gives_the_namespace_up(service: FakeService) -> None:
    service.inject(Fault("start", Refuses("no such luck")))
    kernel = Kernel()

    ran = await run(service, PRINTS, policy=ISOLATED, enter=kernel.enter)

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert (kernel.open, service.containers) == (0, {})


@pytest.mark.usefixtures("all_there")
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
