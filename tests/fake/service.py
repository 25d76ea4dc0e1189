"""The service itself: a socket, a thread that answers on it, and what a test may do to it."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import anyio
from anyio.abc import TaskGroup, TaskStatus
from anyio.from_thread import BlockingPortal, start_blocking_portal

from barasync.aiopodman import Endpoint
from barasync.aiopodman.endpoint import unix_url
from tests.fake import wire
from tests.fake.faults import Dies, Fault, Faults, Hangs, Prunes
from tests.fake.routes import perform, route
from tests.fake.state import State
from tests.fake.wire import Answer, ConnectionGivenUp, Refusal, Request

_BACKLOG = 128
_REMEMBERED = 10_000
_DIRECTORIES = ("tmp", "workspace")


class FakeService:
    """A podman of version `version` at `endpoint`, in a thread of its own.

    `requests` are the operations that were asked for, in order, the last ten thousand of them. The
    methods may be called from any thread; they return when it is so.
    """

    name = "fake"

    def __init__(self, directory: Path, version: str, portal: BlockingPortal) -> None:
        self.version = version
        self.directory = directory
        self._socket = directory / "s"
        self.endpoint = Endpoint(unix_url(str(self._socket)), "the fake")
        self.requests: deque[str] = deque(maxlen=_REMEMBERED)
        self._faults = Faults()
        self._portal = portal
        self._state: State
        self._world: TaskGroup
        self._life: _Life

    @classmethod
    @contextmanager
    def running(cls, *faults: Fault, version: str = "5.4.2") -> Iterator[FakeService]:
        """Run a service for the block; afterwards its containers are killed and nothing is left."""
        directory = Path(tempfile.mkdtemp(prefix="barasync-fake-"))
        try:
            with start_blocking_portal("asyncio") as portal:
                service = cls(directory, version, portal)
                for fault in faults:
                    service.inject(fault)
                with portal.wrap_async_context_manager(service._existing()):
                    yield service
        finally:
            shutil.rmtree(directory)

    def busybox(self, architecture: str) -> str:
        """Return the ID of an image in the place of the rig's; its commands are this host's."""
        return self.image(f"localhost/busybox:{architecture}", architecture)

    def image(self, name: str, architecture: str = "") -> str:
        """Return the ID of an image with empty directories, which is made at the first call."""

        def find_or_make() -> str:
            with suppress(Refusal):
                return self._state.images.find(name).id
            image = self._state.images.make(name, architecture=architecture)
            for directory in _DIRECTORIES:
                (image.root / directory).mkdir()
            return image.id

        return self._portal.call(find_or_make)

    @property
    def containers(self) -> dict[str, str]:
        """The state of every container, by name."""

        def states() -> dict[str, str]:
            return {each.name: each.status for each in self._state.containers.values()}

        return self._portal.call(states)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What every container was created with."""
        return self._portal.call(
            lambda: [dict(each.body) for each in self._state.containers.values()]
        )

    def namespace_of(self, container: str) -> str:
        """Return the ID of the container that owns the network namespace of a container."""

        def owner() -> str:
            netns = self._state.container(container).body.get("netns", {})
            if netns.get("nsmode") != "container":
                return self._state.container(container).id
            return self._state.container(netns["value"]).id

        return self._portal.call(owner)

    @property
    def images(self) -> dict[str, dict[str, Any]]:
        """What `inspect` tells of every image, by ID."""

        def told() -> dict[str, dict[str, Any]]:
            return {image.id: image.inspect() for image in self._state.images.listed({})}

        return self._portal.call(told)

    def remove_image(self, image: str) -> None:
        """Remove an image by its ID, as somebody else does."""
        self._portal.call(lambda: self._state.images.remove(image, self._state.images.find(image)))

    def change(self, image: str, *changes: str) -> None:
        """Apply Containerfile instructions to an image, which stays the same one."""
        self._portal.call(lambda: self._state.images.find(image).change(changes))

    @property
    def networks(self) -> list[dict[str, Any]]:
        """What is told of every network but podman's default one."""
        return self._portal.call(
            lambda: [
                dict(each)
                for name, each in self._state.networks.documents.items()
                if name != "podman"
            ]
        )

    def make_network(self, **body: object) -> None:
        """Make a network of a create body, as somebody else does."""
        self._portal.call(lambda: self._state.networks.create(body))

    @property
    def secrets(self) -> list[str]:
        """The names of the secrets that are kept."""
        return self._portal.call(lambda: list(self._state.secrets))

    def inject(self, *faults: Fault) -> None:
        """Have faults from the next request on."""
        for fault in faults:
            self._faults.add(fault)

    def heal(self) -> None:
        """Have no faults any more."""
        self._faults.clear()

    def kill_monitor(self, container: str) -> None:
        """Kill the monitor of a container, by name or ID."""
        self._portal.call(lambda: self._state.container(container).kill_monitor())

    def die(self) -> None:
        """End every connection and remove the socket; containers go on."""
        self._portal.call(self._end_life)

    def revive(self) -> None:
        """Answer again at the same path, after `die`."""
        self._portal.call(self._begin_life)

    def replace_socket(self) -> None:
        """Put another socket at the path; the connections of the first one stay."""
        self._portal.call(self._listen_anew)

    @asynccontextmanager
    async def _existing(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as world, anyio.create_task_group() as monitors:
            self._world = world
            self._state = State(self.version, self.directory, monitors)
            await self._begin_life()
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self._end_life()
                    for container in list(self._state.containers.values()):
                        await container.remove(0)
                world.cancel_scope.cancel()

    async def _begin_life(self) -> None:
        self._life = _Life()
        await self._world.start(self._live, self._life)

    async def _end_life(self) -> None:
        self._life.scope.cancel()
        await self._life.over.wait()

    async def _listen_anew(self) -> None:
        self._life.listening.cancel()
        await self._life.connections.start(self._listen, self._life)

    async def _live(self, life: _Life, *, task_status: TaskStatus[None]) -> None:
        try:
            with life.scope:
                async with anyio.create_task_group() as connections:
                    life.connections = connections
                    await connections.start(self._listen, life)
                    task_status.started()
        finally:
            self._socket.unlink(missing_ok=True)
            life.over.set()

    async def _listen(self, life: _Life, *, task_status: TaskStatus[None]) -> None:
        life.listening = anyio.CancelScope()
        with socket.socket(socket.AF_UNIX) as listener, life.listening:
            self._socket.unlink(missing_ok=True)
            listener.setblocking(False)
            listener.bind(str(self._socket))
            listener.listen(_BACKLOG)
            task_status.started()
            while True:
                await anyio.wait_readable(listener)
                with suppress(BlockingIOError):
                    connection, _ = listener.accept()
                    life.connections.start_soon(self._serve, connection)

    async def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.setblocking(False)
            await wire.serve(connection, self._respond)

    async def _respond(self, request: Request) -> Answer:
        try:
            found = route(request)
            self.requests.append(found.operation)
            effect = self._faults.take(found.operation, found.labels(self._state, request))
            if isinstance(effect, Hangs | Dies):
                await self._never_answer(request, effect)
            if isinstance(effect, Prunes):
                self._state.networks.prune(each.body for each in self._state.containers.values())
            answer = await perform(self._state, request, found, effect)
        except Refusal as refusal:
            return Answer.refusing(refusal, without_body=request.method == "HEAD")
        answer.effect = effect
        return answer

    async def _never_answer(self, request: Request, effect: Hangs | Dies) -> NoReturn:
        await self._lose(request, performed=effect.performed)
        if isinstance(effect, Dies):
            self._life.scope.cancel()
            if effect.comes_back:
                self._world.start_soon(self._come_back, self._life)
            await anyio.sleep_forever()
        with anyio.move_on_after(effect.seconds):
            await anyio.sleep_forever()
        raise ConnectionGivenUp

    async def _lose(self, request: Request, *, performed: bool) -> None:
        """Do what was asked, and tell nobody."""
        if performed:
            with suppress(Refusal):
                answer = await perform(self._state, request, route(request), None)
                async with answer.closing():
                    return

    async def _come_back(self, life: _Life) -> None:
        await life.over.wait()
        await self._begin_life()


class _Life:
    """The service between two deaths: its listener, its connections, and its end."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.listening = anyio.CancelScope()
        self.over = anyio.Event()
        self.connections: TaskGroup
