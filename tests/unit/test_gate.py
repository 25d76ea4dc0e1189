from __future__ import annotations

import anyio
import pytest

from barasync.aiopodman import NotFound, ServerError, TransportError
from barasync.engine.gate import COLLECTING, ENDED, Admission, Gate, Gates, Storage
from tests.unit.fake_podman import refused

pytestmark = pytest.mark.anyio


async def success(gate: Gate) -> None:
    async with gate.passed():
        pass


async def failure(gate: Gate, error: Exception) -> None:
    with pytest.raises(type(error)):
        async with gate.passed():
            raise error


async def test_each_success_lets_one_more_through_up_to_a_bound() -> None:
    gate = Gate(3)
    widths = [gate.width]
    for _ in range(4):
        await success(gate)
        widths.append(gate.width)

    assert widths == [1, 2, 3, 3, 3]


@pytest.mark.parametrize(
    "error", [refused(ServerError, "database is locked"), TransportError("x"), TimeoutError()]
)
async def test_a_failure_of_podman_halves_what_is_let_through(error: Exception) -> None:
    gate = Gate(8)
    for _ in range(8):
        await success(gate)
    await failure(gate, error)

    assert gate.width == 4


async def test_what_is_no_failure_of_podman_changes_nothing() -> None:
    gate = Gate(8)
    await success(gate)
    await failure(gate, refused(NotFound, "no such image"))

    assert gate.width == 2


async def test_no_more_pass_at_once_than_the_gate_is_wide() -> None:
    gate = Gate(4)
    inside, most = 0, 0

    async def passage() -> None:
        nonlocal inside, most
        async with gate.passed():
            inside += 1
            most = max(most, inside)
            assert inside <= gate.width
            await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(passage)

    assert most == 4


async def test_one_task_may_pass_several_times_at_once() -> None:
    gate = Gate(2)
    await success(gate)

    async with gate.passed(), gate.passed():
        assert gate.width == 2


async def test_who_is_cancelled_while_it_waits_takes_no_place() -> None:
    gate = Gate(1)
    async with gate.passed():
        with anyio.move_on_after(0):
            await success(gate)
    with anyio.fail_after(5):
        await success(gate)


async def test_while_held_one_container_after_the_other_comes_into_being() -> None:
    gates = Gates()
    gates.hold(on=True)
    present, most = 0, 0

    async def container() -> None:
        nonlocal present, most
        await gates.admitted()
        present += 1
        most = max(most, present)
        await anyio.lowlevel.checkpoint()
        present -= 1
        gates.left()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(container)

    assert most == 1


async def test_those_held_back_come_in_at_once_when_the_hold_is_over() -> None:
    gates = Gates()
    gates.hold(on=True)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(gates.admitted)
            await anyio.wait_all_tasks_blocked()
            gates.hold(on=False)


async def test_an_attempt_counts_as_one_container_until_it_leaves_once() -> None:
    gates = Gates()
    gates.hold(on=True)
    first, second, never = Admission(gates), Admission(gates), Admission(gates)

    await first.wait()
    never.leave()
    with anyio.move_on_after(0) as waiting:
        await second.wait()
    assert waiting.cancelled_caught
    second.leave()
    first.leave()
    first.leave()

    with anyio.fail_after(5):
        await second.wait()
    with anyio.move_on_after(0) as waiting:
        await first.wait()
    assert waiting.cancelled_caught


async def test_ended_cells_are_released_up_to_a_bound_and_collected_a_few_at_a_time() -> None:
    gates = Gates()
    released, collected, leave = 0, 0, anyio.Event()

    def release() -> None:
        nonlocal released
        released += 1

    async def cell() -> None:
        nonlocal collected
        async with gates.collecting(release):
            collected += 1
            await leave.wait()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(ENDED + 3):
                group.start_soon(cell)
            await anyio.wait_all_tasks_blocked()
            assert (released, collected) == (ENDED, COLLECTING)
            leave.set()

    assert (released, collected) == (ENDED + 3, ENDED + 3)


# The storage


async def test_who_uses_the_storage_alone_waits_for_requests_and_lets_no_other_through() -> None:
    gates = Gates()
    seen: list[str] = []

    async def alone() -> None:
        async with gates.committing(alone=True):
            seen.append("alone")
            await anyio.wait_all_tasks_blocked()
            seen.append("alone no more")

    async def passage(gate: Gate, name: str) -> None:
        async with gate.passed():
            seen.append(name)

    async with anyio.create_task_group() as group, gates.create.passed():
        group.start_soon(alone)
        await anyio.wait_all_tasks_blocked()
        for name, gate in (("start", gates.start), ("remove", gates.remove)):
            group.start_soon(passage, gate, name)
        await anyio.wait_all_tasks_blocked()
        seen.append("created")

    assert seen[:3] == ["created", "alone", "alone no more"]
    assert sorted(seen[3:]) == ["remove", "start"]


async def test_images_are_made_one_at_a_time_and_small_ones_beside_requests() -> None:
    gates = Gates()
    made = 0

    async def make() -> None:
        nonlocal made
        async with gates.committing(alone=False):
            made += 1

    async with (
        anyio.create_task_group() as group,
        gates.committing(alone=False),
        gates.remove.passed(),
    ):
        group.start_soon(make)
        await anyio.wait_all_tasks_blocked()
        assert made == 0
    assert made == 1


async def test_requests_get_their_turn_between_those_who_use_the_storage_alone() -> None:
    storage = Storage()
    seen: list[str] = []

    async def alone(name: str) -> None:
        async with storage.alone():
            await anyio.wait_all_tasks_blocked()
            seen.append(name)

    async def together() -> None:
        async with storage.shared():
            seen.append("together")

    async with anyio.create_task_group() as group:
        group.start_soon(alone, "first")
        await anyio.lowlevel.checkpoint()
        group.start_soon(together)
        await anyio.lowlevel.checkpoint()
        group.start_soon(alone, "second")

    assert seen == ["first", "together", "second"]


@pytest.mark.parametrize("way", [Storage.shared, Storage.alone])
async def test_who_gives_up_keeps_the_storage_from_nobody(way: object) -> None:
    storage = Storage()
    assert callable(way)
    async with storage.shared():
        with anyio.move_on_after(0.01):
            async with storage.alone():
                pytest.fail("it is used")
    with anyio.CancelScope() as scope:
        async with way(storage):
            scope.cancel()
            await anyio.lowlevel.checkpoint()

    async with storage.alone():
        pass
