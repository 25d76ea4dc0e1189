"""The kernel's side of network policies: namespaces with the rules that were loaded into them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field

from anyio import to_thread

from barasync.networks.namespace import NamespaceError
from barasync.networks.rules import TABLE
from tests.fake.nft import Entry, Rejected, Tables, listing, transaction

Destination = tuple[str | int, ...]
"""An address, a protocol and, where that has any, a port."""


@dataclass
class Kernel:
    """Stands for the namespaces of containers, each its own but as `namespace_of` says.

    A step (`enter`, `load`, `listing`) fails that has something `in_the_way`, and what is to come
    `after` it is awaited. The first process of every container `lives` or has ended, and those
    containers were made anew that are not `unchanged`. `loses` is a rule that is not there after a
    load. `refused` are the packets that the rules of every namespace have refused, and `untold`
    those more that no set had a place for.
    """

    in_the_way: dict[str, NamespaceError] = field(default_factory=dict)
    after: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    namespace_of: Callable[[str], str] = str
    lives: bool = True
    unchanged: Callable[[str], bool] = lambda _container_id: True
    loses: str | None = None
    refused: Mapping[Destination, int] = field(default_factory=dict)
    untold: int = 0
    tables: dict[str, Tables] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)
    entered: list[str] = field(default_factory=list)
    open: int = 0

    @asynccontextmanager
    async def enter(self, _pid: int, container_id: str) -> AsyncIterator[Namespace]:
        """Hold the namespace of a container."""
        self.fail("enter")
        self.entered.append(container_id)
        self.open += 1
        try:
            await self.follow("enter")
            name = await to_thread.run_sync(self.namespace_of, container_id)
            yield Namespace(self, name, container_id)
        finally:
            self.open -= 1

    def fail(self, step: str) -> None:
        """Raise what is in the way of a step."""
        if step in self.in_the_way:
            raise self.in_the_way[step]

    async def follow(self, step: str) -> None:
        """Await what comes after a step."""
        if step in self.after:
            await self.after[step]()


@dataclass(frozen=True)
class Namespace:
    """A network namespace that is held open."""

    kernel: Kernel
    name: str
    container: str

    @property
    def lives(self) -> bool:
        return self.kernel.lives

    def unchanged(self) -> bool:
        return self.kernel.unchanged(self.container)

    async def load(self, text: str) -> None:
        kernel = self.kernel
        kernel.fail("load")
        kept = text if kernel.loses is None else text.replace(f"\t\t{kernel.loses}\n", "")
        try:
            kernel.tables[self.name] = transaction(kernel.tables.get(self.name, {}), kept)
        except Rejected as error:
            raise NamespaceError(f"the rules could not be loaded: {error}") from error
        kernel.loaded.append(text)
        await kernel.follow("load")

    async def listing(self) -> bytes:
        kernel = self.kernel
        kernel.fail("listing")
        try:
            entries = listing(kernel.tables.get(self.name, {}), TABLE)
        except Rejected as error:
            raise NamespaceError(f"the rules cannot be read: {error}") from error
        counted = _counted(entries, kernel.refused, kernel.untold)
        await kernel.follow("listing")
        return json.dumps({"nftables": counted}).encode()


def _counted(entries: list[Entry], refused: Mapping[Destination, int], untold: int) -> list[Entry]:
    """Return what is listed once packets were refused."""
    every = deepcopy(entries)
    sets = {entry["set"]["name"]: entry["set"] for entry in every if "set" in entry}
    for destination, packets in refused.items():
        header = "ip6" if ":" in str(destination[0]) else "ip"
        name = f"refused_{header}" if len(destination) == 3 else f"refused_other_{header}"
        counter = {"packets": packets, "bytes": 60 * packets}
        element = {"elem": {"val": {"concat": list(destination)}, "counter": counter}}
        sets[name].setdefault("elem", []).append(element)
    rules = (entry["rule"] for entry in every if entry.get("rule", {}).get("chain") == "refused")
    total = next(
        (each["counter"] for rule in rules for each in rule["expr"] if "counter" in each), None
    )
    if total is not None:
        packets = sum(refused.values()) + untold
        total.update(packets=packets, bytes=60 * packets)
    return every
