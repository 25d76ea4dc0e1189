"""The containers of a service: made, listed, and handles on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from secrets import token_hex

import anyio

from barasync.aiopodman import quirks
from barasync.aiopodman.container import Container
from barasync.aiopodman.errors import (
    Conflict,
    ConnectError,
    NotFound,
    RequestTimeout,
    TransportError,
)
from barasync.aiopodman.libpod import Libpod, encode_filters, label_filters
from barasync.aiopodman.models import ContainerStats, ContainerSummary, Created, StatsReport
from barasync.aiopodman.spec import ContainerSpec
from barasync.aiopodman.stats import open_stats, read_sample
from barasync.aiopodman.wire.documents import decode_document

CREATION = "aiopodman.creation"
"""The annotation of a container whose value no other container has: the mark of its creation."""

_CREATED = "created"


class Containers:
    """The containers of one podman service."""

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod
        self._volume_creation = anyio.Lock()

    async def create(self, spec: ContainerSpec) -> Container:
        """Create a container and return a handle on it; it does not run yet.

        When cancelled in flight, podman may have created it all the same: shield the call, or find
        the container by its labels. Where podman died over it, the container is found, by the
        random value of the annotation `CREATION`, or asked for once more if it has a name.

        Raises:
            NotFound: the image does not exist.
            Conflict: the name is in use.

        Source: `POST /libpod/containers/create`.
        """
        if spec.named_volumes and self._libpod.has(quirks.SHARED_VOLUME_DEADLOCK):
            async with self._volume_creation:
                return await self._create(spec)
        return await self._create(spec)

    def stats(
        self, containers: Sequence[str] = (), *, interval: int = 1
    ) -> AbstractAsyncContextManager[AsyncIterator[StatsReport]]:
        """Open podman's statistics: what these containers consume, each `interval` seconds.

        All in one stream, by ID or name; all that run, whichever they are at that time, where none
        is named. What does not run may be there with nothing but zeros.

        Raises:
            Conflict: podman has none, as without root on cgroup v1.
            NotFound: there is no such container; while iterating, one of the named is there no
                more, or was not there for 4.3.1 to begin with.
            SamplingFailed: while iterating, podman could not look at one of them, which ends the
                samples: open them anew. So it is with all that run where one vanishes meanwhile.

        Source: `GET /libpod/containers/stats`.
        """
        return open_stats(self._libpod, containers, interval=interval)

    async def sample(self, containers: Sequence[str] = ()) -> list[ContainerStats]:
        """Return one sample of what these containers consume, of all that run by default.

        Raises:
            Conflict, NotFound: as `stats`.
            SamplingFailed: podman could not look at one of them.

        Source: `GET /libpod/containers/stats`.
        """
        return await read_sample(self._libpod, containers)

    async def list(
        self,
        *,
        labels: Mapping[str, str | None] | None = None,
        all: bool = False,  # noqa: A002 podman's name
        external: bool = False,
    ) -> list[ContainerSummary]:
        """Return the running containers, or all of them, that carry every one of `labels`.

        A label whose value is `None` matches whatever its value is. With `external` those that a
        builder works in are there too, in the state `storage`.

        Source: `GET /libpod/containers/json`.
        """
        filters = encode_filters({"label": label_filters(labels)})
        query = {"all": all, "external": external or None, "filters": filters}
        return await self._libpod.get("containers/json", list[ContainerSummary], query)

    def handle(self, container_id: str, *, terminal: bool = False) -> Container:
        """Return a handle on an existing container, by ID or name, without a request.

        `terminal` says that it was created with one, whose output has no frames: where that is not
        so, reading what `attach` and `attach_stdin` give raises `FrameError`, or shows the headers
        of the frames. `inspect` tells, as `config.tty`.
        """
        return Container(self._libpod, container_id, terminal=terminal)

    async def _create(self, spec: ContainerSpec) -> Container:
        mark = token_hex(16)
        try:
            return await self._ask_for(spec, mark)
        except (ConnectError, RequestTimeout):
            raise
        except TransportError:
            # Podman died over it, and may have made the container before.
            container = await self._find(spec, mark)
            if container is not None:
                return container
            if spec.name is None:
                raise
        # A name is given once: there will be no second container.
        try:
            return await self._ask_for(spec, mark)
        except Conflict:
            # What has the name may have been made by the first request after it was looked for.
            container = await self._find(spec, mark)
            if container is None:
                raise
            return container

    async def _ask_for(self, spec: ContainerSpec, mark: str) -> Container:
        body = {**spec.to_body(), "annotations": {CREATION: mark}}
        answer = await self._libpod.post("containers/create", body=body)
        created = decode_document(answer.body, Created)
        return Container(
            self._libpod, created.id, terminal=spec.terminal, warnings=tuple(created.warnings)
        )

    async def _find(self, spec: ContainerSpec, mark: str) -> Container | None:
        """Return the container that was made from `spec` with this mark, and by nobody else."""
        if spec.name is not None:
            candidates = [spec.name]
        else:
            listed = await self.list(labels=dict(spec.labels), all=True)
            candidates = [each.id for each in listed if each.state == _CREATED]
        for candidate in candidates:
            try:
                found = await self.handle(candidate).inspect()
            except NotFound:
                continue
            if found.config.annotations.get(CREATION) == mark:
                return Container(self._libpod, found.id, terminal=spec.terminal)
        return None
