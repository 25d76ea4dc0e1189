"""The services beside a cell: started before it, ready before it starts, gone after it.

A container in which nothing happens owns the network namespace of all of them. The rules of the
cell's policy are loaded there, and read back through every container that has joined it, before
anything of the user's runs. The services of one cell are alone with it: those of another have
another namespace, and may have the same names and ports.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
from anyio import CancelScope, to_thread
from anyio.abc import TaskGroup

from barasync.aiopodman import (
    Container,
    ContainerSpec,
    NotFound,
    create_shielded,
    remove_shielded,
)
from barasync.config.services import Healthy, ListensAt, Service
from barasync.engine.drain import Sink
from barasync.engine.enforcement import Enforcement, enforced_for
from barasync.engine.hosts_file import put_hosts
from barasync.engine.job import Job, Session
from barasync.engine.masking import masked_sink
from barasync.engine.phases import Phases
from barasync.engine.readiness import Check, CommandCheck, PortCheck
from barasync.engine.service import RunningService, ServiceFailed, Tail
from barasync.engine.service_specs import owner_spec, service_spec, services_cgroup
from barasync.networks.listeners import ListenersUnknown, Listening

OpenLog = Callable[[str], AbstractAsyncContextManager[Sink]]
"""Opens the log of a service, by its name."""


@dataclass(frozen=True, slots=True)
class _Output:
    """Where the output of a service goes: `sink` masks it, and it passes by `tail` then."""

    sink: Sink
    tail: Tail


@asynccontextmanager
async def services_beside(
    job: Job, session: Session, open_log: OpenLog, phases: Phases
) -> AsyncIterator[Services]:
    """Have the services of a cell in the block, from when they are started there.

    By its end the cell's container has to be gone. What is left of theirs is removed then, whatever
    happens: shielded from cancellation, for each within the time that `RunningService.end` and a
    removal take.
    """
    failure: Exception | None = None
    async with AsyncExitStack() as logs:
        outputs = [
            await _open(logs, session, open_log(service.name)) for service, _ in job.services
        ]
        async with anyio.create_task_group() as followers:
            services = Services(job, session, phases, outputs, followers)
            try:
                yield services
            except Exception as error:  # noqa: BLE001 - it is raised below: a group would wrap it
                failure = error
            finally:
                with CancelScope(shield=True):
                    await services.remove()
            followers.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _open(
    logs: AsyncExitStack, session: Session, log: AbstractAsyncContextManager[Sink]
) -> _Output:
    tail = Tail(await logs.enter_async_context(log))
    return _Output(await logs.enter_async_context(masked_sink(tail, session.masker)), tail)


class Services:
    """The services of one attempt; `services_beside` makes and removes them.

    `start` begins them, and `end` kills and removes them once the cell has ended. `rules` is what
    the cell's policy takes of their namespace, once they are started. Afterwards `leaked` is the ID
    of a container that podman would not confirm to be gone.
    """

    def __init__(
        self,
        job: Job,
        session: Session,
        phases: Phases,
        outputs: list[_Output],
        followers: TaskGroup,
    ) -> None:
        self.leaked: str | None = None
        self.rules: Enforcement | None = None
        self._job = job
        self._session = session
        self._phases = phases
        self._outputs = outputs
        self._followers = followers
        # Of the namespace: its owner, its rules, its cgroup.
        self._held = AsyncExitStack()
        self._listening: Listening | None = None
        self._running: list[RunningService] = []
        self._lasting: list[RunningService] = []

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
        with self._phases.measure("services"):
            self.rules = await self._own()
            for (service, image), output in zip(self._job.services, self._outputs, strict=True):
                await self._begin(service, image, output, self.rules)

    async def introduce(self, container: Container) -> None:
        """Let a container that shares the namespace know the services by their names.

        Raises:
            PodmanError: podman did not take the file with them.
        """
        names = [service.name for service, _ in self._job.services]
        policy = self._job.cell.policy
        await put_hosts(container, names, {} if policy is None else policy.hosts)

    async def end(self) -> None:
        """Kill and remove them, all at once; shielded from cancellation and bounded in time."""
        lasting, self._lasting = self._lasting, []
        with CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for one in lasting:
                    group.start_soon(self._end, one)

    async def remove(self) -> None:
        """Remove what is left of them, and what they shared."""
        await self.end()
        await self._held.aclose()

    async def _end(self, one: RunningService) -> None:
        await one.end()
        await self._remove(one.container)

    async def _own(self) -> Enforcement:
        """Make the namespace, with the rules in it."""
        job, session = self._job, self._session
        self._held.push_async_callback(self._remove_cgroup)
        rules = await self._held.enter_async_context(enforced_for(job, session, loopback=True))
        program = await session.idle.get(session.podman, session.gates)
        try:
            owner = await self._create(owner_spec(job, session, program))
        except NotFound:
            session.idle.forget(program)
            raise
        self._held.push_async_callback(self._remove, owner)
        async with session.gates.start.passed():
            await owner.init()
            await rules.apply(owner)
            await owner.start()
        await rules.confirm()
        await self._look_for_listeners(owner)
        return rules

    async def _look_for_listeners(self, owner: Container) -> None:
        """Have the namespace looked into, where a service is ready once it listens."""
        for service, _ in self._job.services:
            if isinstance(service.ready, ListensAt):
                break
        else:
            return
        pid = (await owner.inspect()).state.pid
        try:
            looking = self._session.listen(pid, owner.id)
            self._listening = await self._held.enter_async_context(looking)
        except ListenersUnknown as error:
            raise ListenersUnknown(
                f"whether service '{service.name}' listens at {service.ready} cannot be told, so"
                f" the cell was not started: {error}",
                hint="that takes a podman service on this machine, in its PID namespace; a command"
                " as `ready` is executed in the service, wherever it is",
            ) from error

    async def _check_of(self, service: Service, container: Container) -> Check | None:
        if isinstance(service.ready, Healthy):
            return await self._check_of_image(service, container)
        if not isinstance(service.ready, ListensAt):
            return CommandCheck(container) if service.ready else None
        assert self._listening is not None, "it is looked into where a service has a port"
        if service.ready.port in await self._listening.ports():
            raise ServiceFailed(
                f"service '{service.name}' cannot be started: something listens at {service.ready}"
                " already",
                hint="the services of a cell share its ports, each for one of them",
            )
        return PortCheck(service.ready, self._listening)

    async def _check_of_image(self, service: Service, container: Container) -> Check:
        check = (await container.inspect()).config.health_check
        if check is None or not check.checks:
            raise ServiceFailed(
                f"service '{service.name}' cannot be started: {service.image} has no health check"
                " that could tell when it is ready",
                hint="write a command or a port as `ready`; images in OCI's format have none,"
                " whatever their Containerfile says",
            )
        return CommandCheck(container)

    async def _begin(
        self, service: Service, image: str, output: _Output, rules: Enforcement
    ) -> None:
        container = await self._create(service_spec(self._job, self._session, service, image))
        one = RunningService(
            service,
            container,
            self._session,
            sink=output.sink,
            tail=output.tail,
            enforced=partial(enforced_for, self._job, self._session, joins=rules),
        )
        self._running.append(one)
        self._lasting.append(one)
        check = await self._check_of(service, container)
        await one.start(self._followers, self.introduce, check)

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
