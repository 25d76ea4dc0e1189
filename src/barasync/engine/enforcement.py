"""A cell's network policy: in force before its first instruction, or the cell does not start.

The rules are loaded between the making of the container's namespaces and its start, and read back:
what nft accepted is not yet what the kernel has. The namespace is held until the container has
ended, because its counters tell what was refused.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import PurePosixPath

from anyio import to_thread

from barasync.aiopodman import Container, HostPort, NetworkSettings
from barasync.config.policies import Address, Policy
from barasync.engine.ended import Ended
from barasync.engine.job import Job, Session
from barasync.engine.network_hints import or_without
from barasync.engine.networks import CellNetwork
from barasync.engine.podman_names import Asker
from barasync.errors import EngineUnavailable
from barasync.networks.advice import refused_line
from barasync.networks.asked import Asked
from barasync.networks.bridge import keep_address
from barasync.networks.host import addresses
from barasync.networks.loading import enforce, verify
from barasync.networks.namespace import Enter, Entered, NamespaceError
from barasync.networks.refused import refusals, refused_packets
from barasync.networks.rules import Ruleset, Surroundings

_RUNTIME = re.compile(r"(crun|runc|youki)(-v?[0-9.]+)?")


class Enforcement:
    """What a policy takes of one container; nothing where there is none.

    `apply` comes before the start, `confirm` after it, `settle` after the end.
    """

    def __init__(
        self,
        policy: Policy | None,
        network: CellNetwork,
        enter: Enter,
        stack: AsyncExitStack,
        *,
        alias: str,
        host: int,
        loopback: bool,
        joins: Enforcement | None,
    ) -> None:
        self.rules: Ruleset | None = None
        self.around = Surroundings()
        self.published: dict[str, list[HostPort]] = {}
        self.asked: Asked | None = None
        self._policy = policy
        self._network = network
        self._enter = enter
        self._stack = stack
        self._alias = alias
        self._host = host
        self._loopback = loopback
        self._joins = joins
        self._namespace: Entered | None = None
        self._asker: Asker | None = None
        self._pid = 0

    async def apply(self, container: Container) -> None:
        """Put the rules in place in a container that is initialised, and see that they are.

        May be called once more, where podman died over the start. `published` has then where the
        container's ports are on the host.

        Raises:
            NamespaceError: the container must not be started.
            PodmanError: podman does not tell of the container.
        """
        policy = self._policy
        if policy is None:
            return
        again = self._pid != 0
        self._namespace = None
        await self._stack.aclose()
        found = await container.inspect()
        self._pid = found.state.pid
        _require_runtime(policy, found.oci_runtime)
        self.published = (
            dict(found.network_settings.ports) if self._joins is None else self._joins.published
        )
        if self._network.bridge is not None:
            await to_thread.run_sync(keep_address, self._network.bridge)
        try:
            entering = self._enter(self._pid, container.id)
            namespace = await self._stack.enter_async_context(entering)
            await self._load(policy, namespace, again=again)
            await self._name(found.network_settings, namespace)
        except EngineUnavailable as error:
            raise NamespaceError(
                f"network '{policy.name}' cannot be enforced, so the cell was not started: {error}",
                hint=or_without(error.hint),
            ) from error
        self._namespace = namespace

    async def _name(self, settings: NetworkSettings, namespace: Entered) -> None:
        """Have the container's questions for names answered, and its own name known to others."""
        names, network = self._network.names, self._network.name
        if names is not None and network is not None and self._joins is None:
            addresses = settings.networks[network].addresses
            asked = names.cell([self._alias], addresses, namespace.load)
            self.asked = await self._stack.enter_async_context(asked)
        elif self._joins is not None:
            self.asked = self._joins.asked

    async def confirm(self) -> None:
        """Make sure that what was started is what has the rules.

        Podman makes a container anew that it is to start and that has ended, as when somebody has
        stopped it meanwhile. What has ended by now may have been either.

        Raises:
            NamespaceError: the container runs or ran without rules, and must be ended.
        """
        if self._policy is None or self._namespace is None or self._namespace.lives:
            return
        if not await to_thread.run_sync(self._namespace.unchanged):
            raise NamespaceError(
                f"network '{self._policy.name}' is not known to have been enforced, so the cell was"
                " ended: its container was stopped and made anew just before the start"
            )

    async def settle(self, ended: Ended) -> Ended:
        """Add to how a container ended what it asked for in vain, and what its policy refused."""
        ended = self._with_names(ended)
        if not ended.passed:
            ended = replace(ended, notes=(*ended.notes, *self._without_names()))
        if self._namespace is None or self._policy is None:
            return ended
        try:
            listing = await self._namespace.listing()
            refused, packets = refusals(listing), refused_packets(listing)
        except EngineUnavailable as error:
            note = f"what its network refused is not known: {error}"
            return replace(ended, notes=(*ended.notes, note))
        if not refused:
            return ended
        note = refused_line(self._policy, self.around, refused, packets)
        return replace(ended, refused=refused, refused_packets=packets, refused_note=note)

    def _without_names(self) -> Iterator[str]:
        """Say why a container that did not pass may not have resolved names."""
        if self.rules is not None and self.around.resolvers != self._network.resolvers:
            asked = ", ".join(map(str, self._network.resolvers))
            yield (
                f"it had no names: nobody answers on port 53 of {asked}; podman's resolver is in"
                " the package aardvark-dns, to be installed where the podman service is"
            )
        if self._asker is not None:
            self._asker.leave()
            if self._asker.deaths:
                yield (
                    "podman's resolver (aardvark-dns) died while it ran: names that it asked for"
                    " until that was started anew may not have been found"
                )

    def _with_names(self, ended: Ended) -> Ended:
        policy, asked = self._policy, self.asked
        if policy is None or asked is None:
            return ended
        notes = [
            f"network '{policy.name}' names {name}, and there is no such name: is it misspelt?"
            for name in asked.absent
        ]
        if asked.failed:
            notes.append(
                f"the resolver of network '{policy.name}' failed over {asked.failed}"
                f" {'question' if asked.failed == 1 else 'questions'}, which belongs into a report:"
                f" {asked.failure}"
            )
        if not policy.log:
            return replace(ended, notes=(*ended.notes, *notes))
        if asked.others:
            notes.append(f"{asked.others} more questions for refused names were not told apart")
        return replace(ended, notes=(*ended.notes, *notes), refused_names=asked.refused)

    async def _load(self, policy: Policy, namespace: Entered, *, again: bool) -> None:
        rules = None if self._joins is None else self._joins.rules
        if self._joins is not None:
            self.around = self._joins.around
        if rules is None:
            host = await to_thread.run_sync(addresses, self._host)
            self._check_resolvers(host)
            self.around = Surroundings(
                resolvers=await self._heard(),
                host=host,
                links=self._network.links,
                loopback=self._loopback,
            )
            allow = (*policy.allow, *self._network.opened)
            rules = self._network.rules.get(replace(policy, allow=allow), self.around)
            await enforce(namespace, rules, anew=again)
            self._ask()
        else:
            await verify(namespace, rules)
        self.rules = rules

    def _ask(self) -> None:
        """Be counted among those who ask podman's resolver, from now to the end of the rules."""
        if self._network.served and self.around.resolvers:
            self._asker = self._network.askers.enter()
            self._stack.callback(self._asker.leave)

    async def _heard(self) -> tuple[Address, ...]:
        """Return whom the container asks for names; nobody where none of them takes questions.

        Podman starts its resolver with a network's first container, if it is installed. Without it
        a question is refused at once.
        """
        network = self._network
        if network.bridge is None or network.names is not None:
            return network.resolvers
        for address in network.resolvers:
            if not await network.unheard.get(address):
                return network.resolvers
        return ()

    def _check_resolvers(self, host: Sequence[Address]) -> None:
        """Refuse a resolver of names that is somebody else: whoever is asked hears what is asked.

        The bridge of a network has its addresses by now.
        """
        if self._network.names is None:
            return
        for address in self._network.resolvers:
            if address not in host:
                raise NamespaceError(
                    f"{address}, the gateway of {self._network.name}, is no address of this host,"
                    " so that the names of the policy would be asked of somebody else",
                    hint="leave `join` out, or join a network of this host's podman",
                )


def _require_runtime(policy: Policy, runtime: str) -> None:
    """Refuse a runtime whose containers have a kernel of their own, as Kata's and gVisor's do.

    What these send comes out of a device or a packet socket in the namespace, past all rules that
    are loaded there and shown as in force. Of a path the name counts, without a version.
    """
    name = PurePosixPath(runtime).name
    if _RUNTIME.fullmatch(name) is None:
        raise NamespaceError(
            f"network '{policy.name}' cannot be enforced, so the cell was not started: it is not"
            f" known that packets of its containers pass their network namespace with {name!r}",
            hint=or_without("let the service use crun or runc (`runtime` in containers.conf)"),
        )


@asynccontextmanager
async def enforced(
    policy: Policy | None,
    network: CellNetwork,
    enter: Enter,
    *,
    alias: str,
    host: int = 1,
    loopback: bool = False,
    joins: Enforcement | None = None,
) -> AsyncIterator[Enforcement]:
    """Enforce a policy on the container that is started in the block, and give it up afterwards.

    `alias` is its name for others on the network, `host` a process in the network of the host. With
    `loopback` it may use that interface, whatever the policy says. Of one that `joins` the
    namespace of another container the rules of that are looked for, and none are loaded.
    """
    async with AsyncExitStack() as stack:
        yield Enforcement(
            policy, network, enter, stack, alias=alias, host=host, loopback=loopback, joins=joins
        )


def enforced_for(
    job: Job, session: Session, *, loopback: bool = False, joins: Enforcement | None = None
) -> AbstractAsyncContextManager[Enforcement]:
    """Enforce the policy of a job on a container of its cell; see `enforced`."""
    return enforced(
        job.cell.policy,
        job.network,
        session.enter,
        alias=job.cell.id,
        host=session.host,
        loopback=loopback,
        joins=joins,
    )
