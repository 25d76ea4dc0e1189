"""The client: one object per podman service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Self

from barasync.aiopodman.builds import Builds
from barasync.aiopodman.containers import Containers
from barasync.aiopodman.endpoint import Endpoint
from barasync.aiopodman.errors import APIError, ProtocolError, ServerError
from barasync.aiopodman.events import open_events
from barasync.aiopodman.images import Images
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.manifests import Manifests
from barasync.aiopodman.models import Event
from barasync.aiopodman.networks import Networks
from barasync.aiopodman.pods import Pods
from barasync.aiopodman.presence import Presence
from barasync.aiopodman.secrets import Secrets
from barasync.aiopodman.system import System
from barasync.aiopodman.transport import HTTPTransport, Transport
from barasync.aiopodman.version import PodmanVersion, negotiate
from barasync.aiopodman.volumes import Volumes
from barasync.aiopodman.watch import watch_events

_VERSION_HEADER = "libpod-api-version"


class Podman:
    """A connection to the podman service at `endpoint`, for use with `async with`.

        async with Podman(Endpoint("unix:///run/podman/podman.sock", "--url")) as podman:
            container = await podman.containers.create(ContainerSpec(image=image_id))

    Entering asks the service for its version; leaving closes every connection. `timeout`, in
    seconds, bounds each wait for an answer that podman gives at once; answers that last as long as
    a container does, or its bytes and files, have no limit of their own. A service that goes away
    inside the block is waited for, by each request `outage` seconds from when it notices; those
    that may be sent twice are. One client serves any number of tasks.
    `transport` replaces the socket in tests.

    Inside the block: `version`, `presence`, and the collections `containers`, `images`,
    `builds`, `manifests`, `networks`, `pods`, `volumes`, `secrets` and `system`.

    Raises:
        ConnectError: on entering, when nobody answers or access is denied.
        ProtocolError: on entering, when what answers is not podman, or too old a one.
    """

    version: PodmanVersion
    containers: Containers
    images: Images
    builds: Builds
    manifests: Manifests
    networks: Networks
    pods: Pods
    volumes: Volumes
    secrets: Secrets
    system: System

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout: float = 60.0,
        outage: float = 0.0,
        transport: HTTPTransport | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.presence = Presence(endpoint.socket_path)
        self._outage = outage
        self._transport = Transport(endpoint, timeout=timeout, transport=transport)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._transport)
            self.version = await self._negotiate()
            # Who is not there to begin with is not waited for.
            self._transport.bear_outages(self._outage)
            await stack.enter_async_context(self.presence)
            libpod = self._libpod = Libpod(self._transport, self.version)
            self.containers = Containers(libpod)
            self.images = Images(libpod)
            self.builds = Builds(libpod)
            self.manifests = Manifests(libpod)
            self.networks = Networks(libpod)
            self.pods = Pods(libpod)
            self.volumes = Volumes(libpod)
            self.secrets = Secrets(libpod)
            self.system = System(libpod)
            stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.presence.__aexit__(exc_type, exc, traceback)
        await self._transport.__aexit__(exc_type, exc, traceback)

    def events(
        self,
        *,
        filters: Mapping[str, Sequence[str]] = MappingProxyType({}),
        stream: bool = True,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Open the service's events, oldest first.

        With `stream` those to come, and before them those recorded after `since` if that is given;
        without `stream` those recorded. A time without an offset is local time. `filters` are
        podman's, such as `{"container": [ID], "event": ["died"]}`. Events are hints: some are late
        (0.25 s) and some are lost; confirm by `inspect`.

        Source: `GET /libpod/events`.
        """
        return open_events(self._libpod, filters=filters, stream=stream, since=since, until=until)

    def watch(
        self,
        *,
        filters: Mapping[str, Sequence[str]] = MappingProxyType({}),
        since: datetime | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Open the service's events from `since` on, by default from now, across its outages.

        They are received from when the block is entered, up to 64 before somebody asks for them.
        Where the connection ends another one is opened, for which the service is waited for as for
        any request: `outage` seconds. An iteration that was cancelled, or that raised, may be gone
        on with, as long as the block is open; after that it is a `RuntimeError`.

        No event is yielded twice. Each one that podman has recorded is yielded, unless its own
        `time_nano` is more than five seconds before that of one yielded earlier, or its record is
        gone by when the service is back: podman's file of events is cut once it is full (1 MB by
        default), its journal as the host's. Where the record, of whatever it is, does not go back
        to until when all was yielded, that is an `EventsLost`, once: to the event yielded last, or
        one second before the end of a connection that was silent. With no event before an outage
        there is nothing to tell it by. `since`, local time where it has no offset, and the ends of
        connections are compared with the service's clock. After 10,000 matching events within five
        seconds only those after the oldest of the last 10,000 are asked for again. What podman does
        not record nobody is told: confirm by `inspect`.

        Raises:
            ConnectError: while iterating, when the service stays away for longer than `outage`;
                another `TransportError` where it takes the connection and does not answer.
            EventsLost: while iterating, when podman has no record any more of some of them.

        Source: `GET /libpod/events`.
        """
        return watch_events(self._libpod, filters=filters, since=since)

    async def _negotiate(self) -> PodmanVersion:
        path = self.endpoint.socket_path
        try:
            answer = await self._transport.request("GET", "/libpod/_ping")
        except ServerError:
            raise
        except APIError as error:
            raise ProtocolError(
                f"the service at {path} is not podman: it answers GET /libpod/_ping with "
                f"{error.status}"
            ) from error
        version = answer.headers.get(_VERSION_HEADER)
        if version is None:
            server = answer.headers.get("server", "unknown")
            raise ProtocolError(
                f"the service at {path} is not podman: its answer does not name a libpod API "
                f"(server: {server})"
            )
        return negotiate(version)
