"""Podman's own resolver of names while cells ask it: looked after, and started anew where it dies.

aardvark-dns 1.4 (podman 4.3.1) ends for good when it reads the file of a network in the moment in
which netavark writes it, as it does whenever a container leaves one. Podman starts it with the next
container that joins a network; until then no container of this host resolves any name.

Source: `core_serve_loop` of aardvark-dns 1.4, `notify` and `delete_entry` of netavark 1.4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import anyio
from anyio import CancelScope

from barasync.aiopodman import (
    ContainerSpec,
    Podman,
    PodmanError,
    Rlimit,
    create_shielded,
    remove_shielded,
)
from barasync.config.policies import Address
from barasync.engine.gate import Gates
from barasync.engine.idle import IdleImage
from barasync.networks.closed_port import is_closed

if TYPE_CHECKING:
    from barasync.engine.networks import CellNetwork

# With the 2 s that it takes to tell that nobody listens and the start of a container, a client that
# asks again after 5 s (glibc) is answered.
_LOOK_SECONDS = 2.0
_MOST_IN_A_ROW = 3
# Each holds an address of its network until the run ends.
_MOST = 16


class Asker:
    """A container that asks podman's resolver, until `leave`; `deaths` are those it has lived."""

    def __init__(self, askers: Askers) -> None:
        self._askers = askers
        # One that comes while it is dead is not answered either.
        self._before = askers.deaths - askers.dead
        self._after: int | None = None

    @property
    def deaths(self) -> int:
        """How often the resolver has died while it asked, or was dead when it came."""
        now = self._askers.deaths if self._after is None else self._after
        return now - self._before

    def leave(self) -> None:
        """Ask no more; nothing happens the second time."""
        if self._after is None:
            self._after = self._askers.deaths
            self._askers.leave(self)


class Askers:
    """The containers of a network that ask podman's resolver, and what became of that so far."""

    def __init__(self) -> None:
        self.deaths = 0
        self.dead = False
        self._present: set[Asker] = set()

    def __bool__(self) -> bool:
        return bool(self._present)

    def enter(self) -> Asker:
        """Return one more, who is to leave."""
        asker = Asker(self)
        self._present.add(asker)
        return asker

    def leave(self, asker: Asker) -> None:
        """Forget one."""
        self._present.remove(asker)

    def note(self, *, dead: bool) -> None:
        """Take note of whether the resolver is dead."""
        self.deaths += dead and not self.dead
        self.dead = dead


class PodmanNames:
    """Looks after the resolver for the networks of a run.

    `networks` gives those there are at the time.
    """

    def __init__(
        self,
        podman: Podman,
        run: str,
        labels: Mapping[str, str],
        networks: Callable[[], Iterable[CellNetwork]],
        *,
        gates: Gates,
        idle: IdleImage,
        rlimits: tuple[Rlimit, ...] = (),
        closed: Callable[[Address], Awaitable[bool]] = is_closed,
    ) -> None:
        self._podman = podman
        self._run = run
        self._labels = labels
        self._networks = networks
        self._gates = gates
        self._idle = idle
        self._rlimits = rlimits
        self._closed = closed
        self._begun = 0

    async def look_after(self) -> None:
        """Do so until cancelled; the containers that started it anew are removed then.

        Every 2 s each network on which containers ask is looked at, with a datagram, or for 2 s
        with one every 0.02 s where nobody listens. There is no event to wait for: the process is
        podman's, and no child of ours. One that does not come back is given up after three starts,
        and looked at all the same.
        """
        starts = 0
        async with AsyncExitStack() as stack:
            while True:
                await anyio.sleep(_LOOK_SECONDS)
                asked = [each for each in self._networks() if each.served and each.askers]
                if not asked:
                    continue
                dead = await self._dead(asked)
                for network in self._networks():
                    network.askers.note(dead=dead is not None)
                if dead is None:
                    starts = 0
                elif starts < _MOST_IN_A_ROW and self._begun < _MOST:
                    starts += 1
                    # Cells that fail are told of it, and it is looked at again.
                    with suppress(PodmanError, TimeoutError):
                        await self._start(dead, stack)

    async def _dead(self, asked: Iterable[CellNetwork]) -> CellNetwork | None:
        """Return one of some networks on which nobody answers, and somebody still asks."""
        dead: list[CellNetwork] = []

        async def look(network: CellNetwork, address: Address) -> None:
            # The last one may leave meanwhile, and podman ends the resolver with it.
            if await self._closed(address) and network.askers:
                dead.append(network)

        async with anyio.create_task_group() as group:
            for network in asked:
                for address in network.served:
                    group.start_soon(look, network, address)
        return dead[0] if dead else None

    async def _start(self, network: CellNetwork, stack: AsyncExitStack) -> None:
        """Have podman start it, by a container that joins the network and does nothing.

        It stays there: when it leaves, the file of the network is written once more.
        """
        assert network.name is not None, "the resolver is on a network"
        program = await self._idle.get(self._podman, self._gates)
        self._begun += 1
        spec = ContainerSpec(
            image=program.image,
            entrypoint=(program.path,),
            name=f"barasync-{self._run}-names-{self._begun}",
            labels=self._labels,
            network="bridge",
            networks={network.name: ()},
            rlimits=self._rlimits,
        )
        container = await create_shielded(self._podman.containers, spec)
        stack.push_async_callback(self._remove, container.id)
        await container.init()

    async def _remove(self, container: str) -> None:
        with CancelScope(shield=True):
            await remove_shielded(self._podman.containers.handle(container))
