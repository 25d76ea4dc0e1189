"""The services beside a cell: started before it, ready before it starts, gone after it.

A container in which nothing happens owns the network namespace of all of them. The rules of the
cell's policy are loaded there, and read back through every container that has joined it, before
anything of the user's runs. The services of one cell are alone with it: those of another have
another namespace, and may have the same names and ports.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Self

import anyio
from anyio import CancelScope, to_thread

from barasync.aiopodman import Container, ContainerSpec, create_shielded, remove_shielded
from barasync.engine.drain import Sink
from barasync.engine.enforcement import Enforcement, enforced
from barasync.engine.hosts_file import put_hosts
from barasync.engine.idle import idle
from barasync.engine.job import Job, Session
from barasync.engine.masking import masked_sink
from barasync.engine.phases import Phases
from barasync.engine.service import RunningService, Tail
from barasync.engine.service_specs import owner_spec, service_spec, services_cgroup

OpenLog = Callable[[str], AbstractAsyncContextManager[Sink]]
"""Opens the log of a service, by its name."""


class Services:
    """The services of one attempt; for a cell that has none nothing happens.

    Enter it before the cell's container is made. `start` begins them, and `end` kills and removes
    them once the cell has ended. Leaving does so too, and removes what they shared: by then the
    cell's container has to be gone. It is shielded from cancellation and bounded in time.
    Afterwards `leaked` is the ID of a container that podman would not confirm to be gone.
    """

    def __init__(self, job: Job, session: Session, open_log: OpenLog, phases: Phases) -> None:
        self.leaked: str | None = None
        self._job = job
        self._session = session
        self._open_log = open_log
        self._phases = phases
        self._logs = AsyncExitStack()
        self._sinks: dict[str, tuple[Sink, Tail]] = {}
        self._group = anyio.create_task_group()
        self._held = AsyncExitStack()
        self._owner: Container | None = None
        self._rules: Enforcement | None = None
        self._running: list[RunningService] = []
        self._lasting: list[RunningService] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as logs:
            for service, _ in self._job.services:
                tail = Tail(await logs.enter_async_context(self._open_log(service.name)))
                masked = masked_sink(tail, self._session.masker)
                self._sinks[service.name] = (await logs.enter_async_context(masked), tail)
            await self._group.__aenter__()
            self._logs = logs.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with CancelScope(shield=True):
                await self.end()
                if self._owner is not None:
                    await self._remove(self._owner)
                await self._held.aclose()
                await self._remove_cgroup()
            self._group.cancel_scope.cancel()
            # The group only joins what has ended: an error of the body is the caller's.
            await self._group.__aexit__(None, None, None)
        finally:
            # They bear a cancellation by themselves, and tasks of theirs began before all of this.
            await self._logs.aclose()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said of services that did not last, in sentences for a person."""
        return tuple(one.warning for one in self._running if one.warning is not None)

    async def start(self) -> None:
        """Start them, each once those before it are ready.

        Raises:
            ServiceFailed: one of them cannot be used.
            NamespaceError: the cell's policy cannot be enforced.
            PodmanError, TimeoutError: podman failed before any command began.
        """
        if not self._job.services:
            return
        with self._phases.measure("services"):
            await self._own()
            for service, image in self._job.services:
                sink, tail = self._sinks[service.name]
                spec = service_spec(self._job, self._session, service, image)
                one = RunningService(
                    service,
                    await self._create(spec),
                    self._session,
                    sink=sink,
                    tail=tail,
                    enforced=self.enforced,
                )
                self._running.append(one)
                self._lasting.append(one)
                await one.start(self._group, self.introduce)

    async def introduce(self, container: Container) -> None:
        """Let a container that shares the namespace know the services by their names.

        Raises:
            PodmanError: podman did not take the file with them.
        """
        if self._job.services:
            names = [service.name for service, _ in self._job.services]
            policy = self._job.cell.policy
            await put_hosts(container, names, {} if policy is None else policy.hosts)

    def enforced(self) -> AbstractAsyncContextManager[Enforcement]:
        """Enforce the policy on a container of the cell's, or see that it has joined the rules."""
        job = self._job
        return enforced(
            job.cell.policy,
            job.network,
            self._session.enter,
            alias=job.cell.id,
            host=self._session.host,
            joins=self._rules,
        )

    async def end(self) -> None:
        """Kill and remove the services; shielded from cancellation and bounded in time."""
        lasting, self._lasting = self._lasting, []
        with CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for one in lasting:
                    group.start_soon(self._end, one)

    async def _end(self, one: RunningService) -> None:
        await one.end()
        await self._remove(one.container)

    async def _own(self) -> None:
        """Make the namespace, with the rules in it."""
        job, session = self._job, self._session
        program = await idle(session.podman, session.gates)
        rules = await self._held.enter_async_context(
            enforced(
                job.cell.policy,
                job.network,
                session.enter,
                alias=job.cell.id,
                host=session.host,
                loopback=True,
            )
        )
        self._owner = await self._create(owner_spec(job, session, program))
        async with session.gates.start.passed():
            await self._owner.init()
            await rules.apply(self._owner)
            await self._owner.start()
        await rules.confirm()
        self._rules = rules

    async def _create(self, spec: ContainerSpec) -> Container:
        async with self._session.gates.create.passed():
            return await create_shielded(self._session.podman.containers, spec)

    async def _remove(self, container: Container) -> None:
        async with self._session.gates.remove.passed():
            gone = await remove_shielded(container)
        if not gone:
            self.leaked = self.leaked or container.id

    async def _remove_cgroup(self) -> None:
        cgroup = services_cgroup(self._job, self._session)
        if cgroup is not None:
            await to_thread.run_sync(cgroup.remove)
