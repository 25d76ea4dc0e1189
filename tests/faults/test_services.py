"""Services beside a cell: ready before it starts, or the cell does not start; nothing is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import Stream
from barasync.config.policies import PRESETS
from barasync.config.schema import RetryOn
from barasync.config.services import ListensAt, Service
from barasync.engine.gate import Gates
from barasync.masking.masker import Masker
from barasync.masking.value import SecretValue
from barasync.matrix.outcome import Status
from barasync.networks.listeners import ListenersUnknown
from tests.fake.faults import Fault, Hangs, Refuses
from tests.fake.kernel import Kernel
from tests.fake.service import FakeService
from tests.faults.world import IMPATIENT_SECONDS, Ran, run

pytestmark = pytest.mark.anyio

NO_SPACE = "no space left on device"
DB = Service(
    image="db",
    name="db",
    command=("sh", "-c", "echo starting; touch ready; echo up >&2; sleep 60"),
    ready=("test", "-e", "ready"),
)
ENDS = replace(DB, command=("sh", "-c", "echo cannot; echo bind: address in use; exit 3"))
NEVER = replace(DB, ready=("false",), ready_timeout=0.3)


def service_log(ran: Ran, name: str = "db", number: int = 1) -> bytes:
    """What a service has printed, of both streams."""
    return b"".join(ran.record.services["a", number, name].streams.values())


def failed(ran: Ran, service: FakeService) -> str:
    """Return the reason of a cell that was not started and has left nothing."""
    outcome = ran.outcome()
    assert outcome.status is Status.INFRASTRUCTURE_ERROR
    assert (ran.stdout(), outcome.container_id) == (b"", None)
    assert service.containers == {}
    return outcome.reason


async def test_a_cell_starts_once_its_services_are_ready_and_nothing_is_left(
    service: FakeService,
) -> None:
    ran = await run(service, "echo ran", services=(DB, replace(DB, name="queue")))

    assert ran.outcome().status is Status.PASSED, ran.outcome().reason
    assert ran.outcome().warnings == ()
    assert ran.stdout() == b"ran\n"
    for name in ("db", "queue"):
        assert ran.record.services["a", 1, name].streams[Stream.STDOUT] == b"starting\n"
        assert ran.record.services["a", 1, name].streams[Stream.STDERR] == b"up\n"
    assert "services" in ran.outcome().phases
    assert service.containers == {}


async def test_a_service_without_a_check_is_ready_as_soon_as_it_runs(service: FakeService) -> None:
    ran = await run(service, "echo ran", services=(replace(DB, ready=()),))

    assert ran.outcome().status is Status.PASSED
    assert service.containers == {}


async def test_the_cell_and_its_services_know_each_other_by_name(service: FakeService) -> None:
    prints = replace(DB, command=("sh", "-c", "cat etc/hosts; touch ready; sleep 60"))

    ran = await run(service, "cat ../etc/hosts", services=(prints, replace(DB, name="queue")))

    for hosts in (ran.stdout(), service_log(ran)):
        assert b"127.0.0.1 localhost\n" in hosts
        assert b"127.0.0.1 db\n127.0.0.1 queue\n" in hosts


async def test_a_service_that_ends_before_it_is_ready_is_named_with_its_last_words(
    service: FakeService,
) -> None:
    ran = await run(service, "echo ran", services=(replace(DB, name="queue"), ENDS))

    assert failed(ran, service) == (
        "service 'db' ended with exit code 3 before it was ready; it printed last: cannot |"
        " bind: address in use"
    )
    assert ran.outcome().hint == (
        "the services of a cell share its ports, each for one of them; its output is in"
        " services/db.log, beside the logs of the cell"
    )
    assert service_log(ran) == b"cannot\nbind: address in use\n"


async def test_a_service_that_does_not_become_ready_is_given_up(service: FakeService) -> None:
    ran = await run(service, "echo ran", services=(NEVER,))

    assert failed(ran, service).startswith("service 'db' was not ready within 0.3 s: its check ")


async def test_a_check_that_does_not_end_is_given_up(service: FakeService) -> None:
    hangs = replace(NEVER, ready=("sleep", "60"))

    ran = await run(service, "echo ran", services=(hangs,))

    assert "was not ready within 0.3 s: its check did not end" in failed(ran, service)


async def test_a_podman_that_does_not_tell_how_a_service_ended_fails_the_cell_and_not_the_run(
    service: FakeService,
) -> None:
    service.inject(Fault("inspect", Refuses(NO_SPACE)))

    ran = await run(service, "echo ran", services=(replace(ENDS, ready=("sleep", "60")),))

    reason = failed(ran, service)
    assert reason.startswith("service 'db' was lost (")
    assert NO_SPACE in reason


async def test_a_program_that_is_not_in_the_image_is_said(service: FakeService) -> None:
    missing = replace(DB, command=("no-such-program",))

    ran = await run(service, "echo ran", services=(missing,))

    reason = failed(ran, service)
    assert reason.startswith("service 'db' cannot be started: ")
    assert "no-such-program" in reason


async def test_a_service_that_ends_while_the_cell_runs_is_a_warning(
    service: FakeService, tmp_path: Path
) -> None:
    """The cell ends it, and waits until it is gone."""
    pid, go = tmp_path / "pid", tmp_path / "go"
    dies = replace(
        DB,
        command=(
            *("sh", "-c"),
            f"echo $$ >{pid}; touch ready; until test -e {go}; do sleep 0.05; done; exit 4",
        ),
    )
    script = f"touch {go}; while kill -0 $(cat {pid}) 2>/dev/null; do sleep 0.05; done"

    ran = await run(service, script, services=(dies,))

    assert ran.outcome().status is Status.PASSED
    assert ran.outcome().warnings == ("service 'db' ended with exit code 4 while the cell ran",)
    assert service.containers == {}


async def test_another_attempt_has_other_services(service: FakeService) -> None:
    ran = await run(
        service,
        "exit 1",
        services=(DB,),
        retries=1,
        retry_on=(RetryOn.FAILED,),
    )

    assert ran.outcome().status is Status.FAILED
    assert service_log(ran, number=2) == service_log(ran, number=1) == b"starting\nup\n"
    assert service.containers == {}


async def test_a_service_that_failed_is_tried_again_as_podmans_failures_are(
    service: FakeService,
) -> None:
    ran = await run(service, "echo ran", services=(ENDS,), retries=1, retry_on=(RetryOn.INFRA,))

    failed(ran, service)
    assert ("a", 2, "db") in ran.record.services


@pytest.mark.parametrize("operation", ["create", "put-archive", "attach", "start"])
@pytest.mark.parametrize("skip", [0, 1])
async def test_whatever_podman_refuses_nothing_is_left(
    service: FakeService, operation: str, skip: int
) -> None:
    service.inject(Fault(operation, Refuses(NO_SPACE), skip=skip))

    ran = await run(service, "echo ran", services=(DB,))

    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert NO_SPACE in ran.outcome().reason
    assert service.containers == {}


async def test_a_podman_that_refuses_checks_does_not_make_a_service_ready(
    service: FakeService,
) -> None:
    service.inject(Fault("healthcheck", Refuses(NO_SPACE)))

    ran = await run(service, "echo ran", services=(replace(NEVER, ready=("true",)),))

    assert failed(ran, service).startswith("service 'db' was not ready within 0.3 s: ")


@pytest.mark.usefixtures("impatient")
async def test_a_podman_that_does_not_remove_a_service_is_a_leak(service: FakeService) -> None:
    service.inject(Fault("delete", Refuses(NO_SPACE)))

    ran = await run(service, "echo ran", services=(DB,))

    assert ran.outcome().status is Status.LEAKED
    assert len(service.containers) == 3


async def test_a_service_that_podman_does_not_kill_is_removed_all_the_same(
    service: FakeService,
) -> None:
    service.inject(Fault("kill", Refuses(NO_SPACE)))

    ran = await run(service, "echo ran", services=(DB,))

    assert (ran.outcome().status, ran.outcome().warnings) == (Status.PASSED, ())
    assert service.containers == {}


async def test_a_podman_that_forgets_to_answer_is_given_up(service: FakeService) -> None:
    service.inject(Fault("attach", Hangs()))

    ran = await run(service, "echo ran", services=(DB,), client_seconds=IMPATIENT_SECONDS)

    assert "service 'db' cannot be started: podman: " in failed(ran, service)


async def test_an_interruption_leaves_nothing(service: FakeService) -> None:
    ran = await run(
        service,
        {"a": "sleep 60", "b": "sleep 60"},
        services=(DB,),
        jobs=1,
        interrupted_at="a",
    )

    assert ran.outcome().status is Status.CANCELLED
    assert service.containers == {}


async def test_secrets_are_masked_in_the_logs_of_services_and_in_what_is_said(
    service: FakeService,
) -> None:
    tells = replace(DB, command=("sh", "-c", "echo hunter2-hunter2; exit 1"))

    ran = await run(
        service, "echo ran", services=(tells,), masker=Masker([SecretValue(b"hunter2-hunter2")])
    )

    assert failed(ran, service).endswith("it printed last: ***")
    assert service_log(ran) == b"***\n"


# Ports


@dataclass
class Ports:
    """Stands for what listens in a namespace: what is there each time, the last for good."""

    found: list[frozenset[int] | ListenersUnknown]
    looked_at: list[str] = field(default_factory=list)
    open: int = 0

    @asynccontextmanager
    async def listen(self, _pid: int, container_id: str) -> AsyncIterator[Ports]:
        self.looked_at.append(container_id)
        self.open += 1
        try:
            yield self
        finally:
            self.open -= 1

    async def ports(self) -> frozenset[int]:
        await anyio.lowlevel.checkpoint()
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, ListenersUnknown):
            raise found
        return found


LISTENS = replace(DB, ready=ListensAt(5432), command=("sh", "-c", "echo up; sleep 60"))


async def test_a_service_is_ready_once_something_listens_at_its_port(service: FakeService) -> None:
    ports = Ports([frozenset(), frozenset({80}), frozenset({80, 5432})])

    ran = await run(
        service, "echo ran", services=(LISTENS, replace(DB, name="queue")), listen=ports.listen
    )

    assert ran.outcome().status is Status.PASSED, ran.outcome().reason
    assert ports.found == [{80, 5432}]
    # That of the owner, which the others share.
    assert len(ports.looked_at) == 1
    assert (service.containers, ports.open) == ({}, 0)


async def test_nobody_looks_for_listeners_without_a_port(service: FakeService) -> None:
    ports = Ports([frozenset()])

    ran = await run(service, "echo ran", services=(DB,), listen=ports.listen)

    assert (ran.outcome().status, ports.looked_at) == (Status.PASSED, [])


@pytest.mark.parametrize("found", [frozenset({80}), ListenersUnknown("it cannot be read")])
async def test_a_service_that_does_not_listen_is_given_up(
    service: FakeService, found: frozenset[int] | ListenersUnknown
) -> None:
    never, ports = replace(LISTENS, ready_timeout=0.3), Ports([frozenset(), found])

    ran = await run(service, "echo ran", services=(never,), listen=ports.listen)

    assert failed(ran, service).startswith("service 'db' was not ready within 0.3 s: ")


async def test_a_port_that_another_service_has_makes_nobody_ready(service: FakeService) -> None:
    ports = Ports([frozenset({5432})])

    ran = await run(service, "echo ran", services=(LISTENS,), listen=ports.listen)

    assert failed(ran, service) == (
        "service 'db' cannot be started: something listens at 5432/tcp already"
    )
    assert ran.outcome().hint == "the services of a cell share its ports, each for one of them"
    assert service_log(ran) == b""


async def test_a_service_that_ends_before_it_listens_is_said(service: FakeService) -> None:
    ends = replace(ENDS, ready=ListensAt(5432))

    ran = await run(service, "echo ran", services=(ends,), listen=Ports([frozenset()]).listen)

    assert "ended with exit code 3 before it was ready" in failed(ran, service)


async def test_ports_that_cannot_be_seen_start_nothing(service: FakeService) -> None:
    # The fake's containers are processes of this host in no cgroup of theirs.
    ran = await run(service, "echo ran", services=(LISTENS,))

    assert failed(ran, service).startswith(
        "whether service 'db' listens at 5432/tcp cannot be told, so the cell was not started:"
    )
    assert "a command as `ready` is executed in the service" in (ran.outcome().hint or "")
    assert service_log(ran) == b""


# Policies


async def test_rules_are_loaded_once_and_looked_for_in_every_container(
    service: FakeService,
) -> None:
    kernel = Kernel(namespace_of=service.namespace_of)

    ran = await run(
        service, "echo ran", services=(DB,), policy=PRESETS["local"], enter=kernel.enter
    )

    assert ran.outcome().status is Status.PASSED, ran.outcome().reason
    assert len(kernel.loaded) == 1
    assert len(set(kernel.entered)) == 3
    assert kernel.entered[-1] == ran.outcome().container_id
    assert (service.containers, kernel.open) == ({}, 0)


async def test_services_wait_for_memory_with_their_cell(service: FakeService) -> None:
    """The run is held from its beginning, so that one cell after the other has containers."""
    kernel, gates = Kernel(namespace_of=service.namespace_of), Gates()
    gates.hold(on=True)

    ran = await run(
        service,
        {"a": "echo ran", "b": "echo ran"},
        services=(DB,),
        policy=PRESETS["local"],
        enter=kernel.enter,
        gates=gates,
    )

    assert [each.status for each in ran.result.outcomes.values()] == [Status.PASSED] * 2
    # The owner of the namespace and the service come before each cell, in the order of starts.
    assert {kernel.entered[2], kernel.entered[5]} == {
        each.container_id for each in ran.result.outcomes.values()
    }


async def test_a_service_that_may_have_run_without_rules_fails_the_cell_and_not_the_run(
    service: FakeService,
) -> None:
    # The owner of the namespace is entered first, then the service.
    kernel = Kernel(
        namespace_of=service.namespace_of,
        lives=False,
        unchanged=lambda container: container == kernel.entered[0],
    )

    ran = await run(
        service, "echo ran", services=(DB,), policy=PRESETS["local"], enter=kernel.enter
    )

    assert "is not known to have been enforced" in failed(ran, service)
    assert kernel.open == 0


async def test_a_service_that_is_not_where_the_rules_are_is_not_started(
    service: FakeService,
) -> None:
    # Each container has a namespace of its own here, though they are to share the first one's.
    kernel = Kernel()

    ran = await run(
        service, "echo ran", services=(DB,), policy=PRESETS["local"], enter=kernel.enter
    )

    assert "cannot be enforced, so the cell was not started: the rules cannot be read" in failed(
        ran, service
    )
    assert len(kernel.loaded) == 1
    assert service_log(ran) == b""
    assert kernel.open == 0
