"""Pods: containers that are started, stopped and removed together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from barasync.aiopodman.errors import APIError, NotFound
from barasync.aiopodman.libpod import (
    InvalidName,
    Libpod,
    carries,
    encode_filters,
    label_filters,
    segment,
)
from barasync.aiopodman.models import Removed
from barasync.aiopodman.removal import require_removed
from barasync.aiopodman.spec import PublishedPort
from barasync.aiopodman.stats import Processes, read_processes
from barasync.aiopodman.texts import refuse_text
from barasync.aiopodman.wire.documents import decode_document

# What podman gives each container between its stop signal and SIGKILL; a start takes less.
_SECONDS_EACH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSpec:
    """A pod that does not exist yet.

    Without an `infra_image` its containers share nothing. With one, by ID, a container of it is
    made with the pod and executes `infra_command` for as long as the pod runs; the others share its
    network, IPC and UTS namespaces, those of them whose `ContainerSpec.network` is `pod`. Its
    `network` is `none`, `bridge` or `host`, and with `bridge` its `publish` are the ports of all
    of them. `hostname` is that of all, the pod's name by default. Podman's own image for that is
    never used: 5.4.2 cannot make it on a host without catatonit (measured).

    Raises:
        TypeError: a sequence is a text.
        ValueError: there is no such network, or what only an `infra_image` gives is wanted without
            one, or ports are published on another network than `bridge`.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    infra_image: str | None = None
    infra_command: tuple[str, ...] = ()
    network: str = "none"
    publish: tuple[PublishedPort, ...] = ()
    hostname: str | None = None

    def __post_init__(self) -> None:
        refuse_text("infra_command", self.infra_command)
        refuse_text("publish", self.publish)
        if self.network not in {"none", "bridge", "host"}:
            raise ValueError(f"there is no network {self.network!r} of a pod")
        if self.infra_image is None and (
            self.infra_command or self.hostname is not None or self.network != "none"
        ):
            raise ValueError(
                "without an infra_image a pod has no command, no hostname and no network"
            )
        if self.publish and self.network != "bridge":
            raise ValueError(f"a pod with the network {self.network!r} publishes no ports")

    def to_body(self) -> dict[str, object]:
        """Return the create body. Source: podman `pkg/specgen/podspecgen.go`."""
        body: dict[str, object] = {"name": self.name, "labels": dict(self.labels)}
        if self.infra_image is None:
            return {**body, "no_infra": True}
        settings: dict[str, object] = {
            "portmappings": [port.to_body() for port in self.publish],
            "hostname": self.hostname,
        }
        return {
            **body,
            "infra_image": self.infra_image,
            "infra_command": list(self.infra_command),
            "netns": {"nsmode": self.network},
            **{name: value for name, value in settings.items() if value},
        }


class PodContainer(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A container in a pod; `state` is podman's word for it, such as `running`."""

    id: str
    name: str = ""
    state: str = ""


class PodInspect(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A pod in full; `state` is podman's word for it, such as `Created` or `Running`.

    `containers` are all in it, that of its namespaces too, whose ID is `infra_container_id`.
    """

    id: str
    name: str
    state: str = ""
    labels: dict[str, str] = {}
    created: dt.datetime | None = None
    infra_container_id: str = msgspec.field(default="", name="InfraContainerID")
    shared_namespaces: list[str] = []
    containers: list[PodContainer] = []

    @property
    def members(self) -> list[PodContainer]:
        """The containers in it that somebody has put there."""
        return [each for each in self.containers if each.id != self.infra_container_id]


class PodSummary(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A pod in a list; `status` is `PodInspect.state`."""

    id: str
    name: str
    status: str = ""
    labels: dict[str, str] = {}
    infra_id: str = ""


class _Created(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    id: str


class Pods:
    """The pods of one podman service, each by name or ID.

    `start`, `stop` and `remove` raise `RequestTimeout` once podman has taken the client's `timeout`
    and the time of every container of the pod: 10 s, for `stop` its own `timeout`.
    """

    def __init__(self, libpod: Libpod) -> None:
        self._libpod = libpod

    async def list(self, *, labels: Mapping[str, str | None] | None = None) -> list[PodSummary]:
        """Return the pods that carry every one of `labels`, all of them by default.

        A label whose value is `None` matches whatever its value is.

        Source: `GET /libpod/pods/json`.
        """
        query = {"filters": encode_filters({"label": label_filters(labels)})}
        found = await self._libpod.get("pods/json", list[PodSummary], query)
        return [pod for pod in found if carries(pod.labels, labels)]

    async def create(self, spec: PodSpec) -> str:
        """Make a pod and return its ID; a container is in it by its `ContainerSpec.pod`.

        When cancelled in flight, podman may have made it all the same: shield the call, or find it
        by its name.

        Raises:
            Conflict: the name is in use.

        Source: `POST /libpod/pods/create`.
        """
        answer = await self._libpod.post("pods/create", body=spec.to_body())
        return decode_document(answer.body, _Created).id

    async def exists(self, name: str) -> bool:
        """Tell whether there is such a pod.

        Source: `GET /libpod/pods/{name}/exists`.
        """
        try:
            await self._libpod.ask(f"pods/{segment(name)}/exists")
        except (NotFound, InvalidName):
            return False
        return True

    async def inspect(self, name: str) -> PodInspect:
        """Return a pod's state, and the containers in it.

        Source: `GET /libpod/pods/{name}/json`.
        """
        return await self._libpod.get(f"pods/{segment(name)}/json", PodInspect)

    async def start(self, name: str) -> None:
        """Start all containers in a pod; nothing happens where they run. Attach to them before.

        Raises:
            APIError: one of them could not be started.

        Source: `POST /libpod/pods/{name}/start`.
        """
        patience = await self._patience(name, _SECONDS_EACH)
        await self._libpod.post(f"pods/{segment(name)}/start", patience=patience)

    async def stop(self, name: str, *, timeout: int = 10) -> None:  # noqa: ASYNC109 podman's
        """Send all containers in a pod their stop signal, and SIGKILL after `timeout` seconds.

        Nothing happens when none of them runs, and neither once one of them has ended (the state
        `Degraded`, `quirks.POD_STOP_WANTS_ALL`): `kill` does then.

        Raises:
            ValueError: `timeout` is not at least 1 (`quirks.POD_STOP_OF_ZERO_IS_TEN`).

        Source: `POST /libpod/pods/{name}/stop`.
        """
        if timeout < 1:
            raise ValueError(f"podman can stop a pod in 1 second at least, not in {timeout}")
        patience = await self._patience(name, timeout)
        await self._libpod.post(f"pods/{segment(name)}/stop", {"t": timeout}, patience=patience)

    async def kill(self, name: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the containers of a pod that run, those of a `Degraded` one as well.

        Returns before that has an effect.

        Raises:
            Conflict: none of them runs.

        Source: `POST /libpod/pods/{name}/kill`.
        """
        await self._libpod.post(f"pods/{segment(name)}/kill", {"signal": signal})

    async def pause(self, name: str) -> None:
        """Have the kernel run none of the processes in a pod until `unpause`.

        Source: `POST /libpod/pods/{name}/pause`.
        """
        await self._libpod.post(f"pods/{segment(name)}/pause")

    async def unpause(self, name: str) -> None:
        """Let the processes in a pod go on.

        Source: `POST /libpod/pods/{name}/unpause`.
        """
        await self._libpod.post(f"pods/{segment(name)}/unpause")

    async def top(self, name: str, descriptors: Sequence[str] = ()) -> Processes:
        """Return the processes of all containers in a pod that runs, as `Container.top`.

        Source: `GET /libpod/pods/{name}/top`.
        """
        return await read_processes(self._libpod, "pods", name, descriptors)

    async def remove(self, name: str, *, force: bool = False, missing_ok: bool = False) -> None:
        """Remove a pod and the containers in it; with `force` even while they run.

        Those that run get ten seconds between their stop signal and SIGKILL: `kill` or `stop`
        them before.

        Raises:
            APIError: one of them runs, and `force` is false.
            NotFound: there is no such pod, and `missing_ok` is false.

        Source: `DELETE /libpod/pods/{name}`.
        """
        path = f"pods/{segment(name)}"
        patience = await self._patience(name, _SECONDS_EACH)
        try:
            answer = await self._libpod.delete(path, {"force": force}, patience=patience)
        except NotFound:
            if not missing_ok:
                raise
            return
        reports = [decode_document(answer.body or b"{}", Removed)]
        require_removed(reports, f"pod {name}", answer=answer, path=path)

    async def _patience(self, name: str, seconds: int) -> int:
        """Return how long podman may take if each container takes it so many seconds."""
        try:
            containers = len((await self.inspect(name)).containers)
        except APIError:
            # What is asked for next tells what is wrong with the pod.
            containers = 1
        return seconds * containers
