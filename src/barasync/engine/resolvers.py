"""The resolvers of a run: one for each network whose policy names hosts, while it has cells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup, TaskStatus

from barasync.config.policies import Address, Policy
from barasync.errors import EngineUnavailable
from barasync.networks import host
from barasync.networks.resolv_conf import host_servers

if TYPE_CHECKING:
    from barasync.networks.resolver import Resolver

_DNS = 53


class Resolvers:
    """Starts resolvers, which answer as long as `serve` runs.

    `here` says that the networks of the service are this machine's, and that this process may
    listen on their gateways. `host` is a process in the network of the service's host.
    """

    def __init__(self, *, here: bool, host: int = 1, port: int = _DNS) -> None:
        self.here = here
        self._host = host
        self._port = port
        self._answering: dict[str, _Answering] = {}
        self._group: TaskGroup | None = None
        self._serving = anyio.Event()

    async def serve(self) -> None:
        """Answer until cancelled."""
        async with anyio.create_task_group() as group:
            self._group = group
            self._serving.set()
            await anyio.sleep_forever()

    def require(self, policy: Policy) -> None:
        """Raise `EngineUnavailable` where the hosts that a policy names cannot be resolved."""
        if not self.here:
            raise EngineUnavailable(
                f"network '{policy.name}' names hosts, which takes a resolver on its gateway, and"
                " that is out of reach: the podman service is rootless, or on another machine",
                hint="use a rootful podman service on this machine, as root,"
                " or give the hosts by their addresses",
            )

    async def start(self, policy: Policy, gateways: Sequence[Address]) -> Resolver:
        """Return the resolver of a network, which answers on its gateways from now on.

        One that the policy has already, of a network that is gone, ends first: podman may have
        chosen the same addresses again.

        Raises:
            EngineUnavailable: this process cannot listen there, or there is nobody to ask.
        """
        making = partial(_resolver, policy, gateways, self._host, self._port)
        resolver = await to_thread.run_sync(making)
        await self._serving.wait()
        assert self._group is not None, "it serves"
        former = self._answering.pop(policy.name, None)
        if former is not None:
            await former.end()
        answering = _Answering(resolver)
        await self._group.start(answering.run)
        self._answering[policy.name] = answering
        return resolver


class _Answering:
    """A resolver that answers from `run` to `end`."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        try:
            with self._scope:
                await self._resolver.serve(task_status=task_status)
        finally:
            self._over.set()

    async def end(self) -> None:
        """Return once nothing listens any more."""
        self._scope.cancel()
        await self._over.wait()


def _resolver(policy: Policy, gateways: Sequence[Address], process: int, port: int) -> Resolver:
    """Make a resolver; blocks, for small files and modules that runs without names do without."""
    from barasync.networks.resolver import Resolver  # noqa: PLC0415 - as said
    from barasync.networks.upstream import Server  # noqa: PLC0415 - as said

    servers = policy.dns or host_servers()
    return Resolver(
        policy,
        listen=gateways,
        host=partial(host.addresses, process),
        servers=[Server(one) for one in servers],
        port=port,
    )
