"""Podman's resolver looked after: when it is started anew, and what is left of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from barasync.aiopodman import ContainerSpec, NotFound
from barasync.config.policies import Address
from barasync.engine import podman_names
from barasync.engine.gate import Gates
from barasync.engine.networks import CellNetwork
from barasync.engine.podman_names import Askers, PodmanNames

pytestmark = pytest.mark.anyio

GATEWAY = ip_address("10.89.0.1")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman_names, "_LOOK_SECONDS", 0.0)


@dataclass
class World:
    """A podman of which only containers are asked, and what listens on the gateway."""

    closed: Iterator[bool]
    refuses: int = 0
    made: list[ContainerSpec] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    looks: int = 0
    over: anyio.Event = field(default_factory=anyio.Event)

    async def is_closed(self, address: Address) -> bool:
        assert address == GATEWAY
        self.looks += 1
        await anyio.lowlevel.checkpoint()
        try:
            return next(self.closed)
        except StopIteration:
            self.over.set()
            return False

    @property
    def containers(self) -> Any:
        return self

    async def create(self, spec: ContainerSpec) -> Any:
        if self.refuses:
            self.refuses -= 1
            raise NotFound(status=404, cause="", message="no", method="POST", path="create")
        self.made.append(spec)
        return self.handle(f"id{len(self.made)}")

    def handle(self, container: str) -> Any:
        async def init() -> None:
            self.begun.append(container)

        async def remove(**_: object) -> None:
            self.removed.append(container)

        return SimpleNamespace(id=container, init=init, remove=remove)

    async def get(self, *_: object) -> Any:
        return SimpleNamespace(image="idle", path="/idle")


def network(*served: Address) -> CellNetwork:
    return CellNetwork(name="net", bridge="bs1", resolvers=served, served=served)


def names(world: World, *networks: CellNetwork) -> PodmanNames:
    podman: Any = world
    idle: Any = world
    return PodmanNames(
        podman,
        "run1",
        {"barasync.run": "run1"},
        lambda: networks,
        gates=Gates(),
        idle=idle,
        closed=world.is_closed,
    )


async def until(event: Callable[[], Any], looking: PodmanNames) -> None:
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(looking.look_after)
            await event()
            group.cancel_scope.cancel()


async def test_a_container_that_does_nothing_starts_it_and_goes_with_the_run() -> None:
    world = World(closed=iter([False, True, False]))
    asked = network(GATEWAY)
    asker = asked.askers.enter()

    await until(world.over.wait, names(world, asked))

    (spec,) = world.made
    assert (spec.name, spec.image, spec.entrypoint) == ("barasync-run1-names-1", "idle", ("/idle",))
    assert (spec.network, dict(spec.networks)) == ("bridge", {"net": ()})
    assert spec.labels == {"barasync.run": "run1"}
    assert world.begun == world.removed == ["id1"]
    assert asker.deaths == 1


async def test_where_nobody_asks_it_may_end() -> None:
    world = World(closed=iter([True] * 9))
    idle, asked, left = network(GATEWAY), network(GATEWAY), network(GATEWAY)
    left.askers.enter().leave()
    asked.askers.enter()

    async def looked() -> None:
        while not world.made:
            await anyio.lowlevel.checkpoint()

    await until(looked, names(world, idle, left, asked))

    assert [dict(spec.networks) for spec in world.made][:1] == [{"net": ()}]
    assert world.looks == len(world.made), "only where somebody asks"


async def test_who_leaves_while_it_is_looked_at_needs_it_no_more() -> None:
    asked = network(GATEWAY)
    asker = asked.askers.enter()
    world = World(closed=iter([]))

    async def closed_as_it_leaves(_address: Address) -> bool:
        asker.leave()
        world.over.set()
        return True

    world.is_closed = closed_as_it_leaves  # type: ignore[method-assign]
    await until(world.over.wait, names(world, asked))

    assert world.made == []
    assert asker.deaths == 0


@pytest.mark.parametrize("refuses", [0, 99])
async def test_one_that_does_not_come_back_is_given_up_after_three_starts_and_looked_at(
    refuses: int,
) -> None:
    world = World(closed=iter([True] * 50), refuses=refuses)
    asked = network(GATEWAY)
    asker = asked.askers.enter()

    await until(world.over.wait, names(world, asked))

    assert len(world.made) + 99 * bool(refuses) - world.refuses == 3
    assert sorted(world.removed) == sorted(world.begun)
    assert asker.deaths == 1


async def test_who_comes_while_it_is_dead_is_told_as_well() -> None:
    world = World(closed=iter([True]), refuses=1)
    asked = network(GATEWAY)
    asked.askers.enter()
    late = []

    async def dead() -> None:
        while not asked.askers.dead:
            await anyio.lowlevel.checkpoint()
        late.append(asked.askers.enter())
        while asked.askers.dead:
            await anyio.lowlevel.checkpoint()
        late.append(asked.askers.enter())

    await until(dead, names(world, asked))

    assert [asker.deaths for asker in late] == [1, 0]


async def test_a_run_starts_it_so_often_and_no_more() -> None:
    world = World(closed=iter([True, False] * 50))
    asked = network(GATEWAY)
    asker = asked.askers.enter()

    await until(world.over.wait, names(world, asked))

    assert len(world.made) == podman_names._MOST
    assert sorted(world.removed) == sorted(world.begun)
    assert asker.deaths == 50


async def test_of_another_networks_resolver_nothing_is_asked() -> None:
    asked = network()
    asked.askers.enter()
    world = World(closed=iter([]))
    looking = names(world, asked)

    with anyio.move_on_after(0.05):
        await looking.look_after()

    assert world.looks == 0


def test_an_asker_knows_the_deaths_of_its_own_time() -> None:
    askers = Askers()
    askers.note(dead=True)
    askers.note(dead=False)
    asker = askers.enter()
    askers.note(dead=True)
    askers.note(dead=True)
    assert asker.deaths == 1
    asker.leave()
    askers.note(dead=False)
    askers.note(dead=True)
    asker.leave()
    assert asker.deaths == 1
    assert not askers
