"""What the service knows: it outlives the process that answers, as podman's storage does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from barasync.aiopodman import quirks
from barasync.aiopodman.quirk import Quirk
from barasync.aiopodman.version import negotiate
from tests.fake.container import Container
from tests.fake.images import Images
from tests.fake.networks import Networks
from tests.fake.wire import Refusal


@dataclass(frozen=True, slots=True)
class Secret:
    """Bytes that are kept under a name."""

    id: str
    name: str
    data: bytes
    labels: Mapping[str, str]


@dataclass(slots=True)
class State:
    """The images, containers, networks, secrets and events of a podman of one version.

    `monitors` is where containers are watched; `happened` is replaced and set at every event.
    `scratches` are the architectures that Containerfiles without a base were built for.
    """

    version: str
    directory: Path
    monitors: TaskGroup
    images: Images = field(init=False)
    containers: dict[str, Container] = field(default_factory=dict)
    networks: Networks = field(default_factory=Networks)
    secrets: dict[str, Secret] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    happened: anyio.Event = field(default_factory=anyio.Event)
    scratches: dict[tuple[str, ...], str] = field(default_factory=dict)
    _made: int = 0

    def __post_init__(self) -> None:
        self.images = Images(self.directory / "images")

    def has(self, quirk: Quirk) -> bool:
        """Tell whether podman of this version has a trap."""
        return quirk.is_active(negotiate(self.version).release)

    def create(
        self, body: Mapping[str, Any], *, secret_env: Mapping[str, str], missing_status: int
    ) -> Container:
        """Make a container of a create body; `secret_env` are the variables that are secret.

        Raises:
            Refusal: the image or a network does not exist, or the name is in use.
        """
        image = self.images.find(body["image"], missing_status=missing_status)
        self._made += 1
        identity = hashlib.sha256(f"{self.directory} {self._made}".encode()).hexdigest()
        name = body.get("name") or f"fake_{self._made}"
        for other in self.containers.values():
            if other.name == name:
                cause = "that name is already in use"
                text = f'the container name "{name}" is already in use by {other.id}: {cause}'
                raise Refusal(500, cause, f"creating container storage: {text}")
        container = Container(
            id=identity,
            name=name,
            body=body,
            secret_env=secret_env,
            shows_secrets=self.has(quirks.SECRET_ENV_IS_SHOWN),
            places=self._places(body),
            ports=self.networks.ports(body),
            image=image,
            root=self.directory / "containers" / identity[:12],
            report=self.report,
        )
        self.containers[identity] = container
        self.report(container, "create")
        return container

    def _places(self, body: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        namespace = body.get("netns", {})
        if namespace.get("nsmode") == "container":
            return self.container(namespace["value"]).places
        return self.networks.places(body)

    def container(self, name: str) -> Container:
        """Return a container by name, ID, or the beginning of an ID.

        Raises:
            Refusal: there is none.
        """
        for container in self.containers.values():
            if name == container.name or container.id.startswith(name):
                return container
        cause = "no such container"
        raise Refusal(404, cause, f'no container with name or ID "{name}" found: {cause}')

    def secret(self, name: str) -> Secret:
        """Return a secret by name or ID.

        Raises:
            Refusal: there is none.
        """
        for secret in self.secrets.values():
            if name in {secret.name, secret.id}:
                return secret
        cause = "no such secret"
        raise Refusal(404, cause, f'no secret with name or id "{name}": {cause}')

    def report(self, container: Container, action: str) -> None:
        """Record what happened to a container."""
        now = datetime.now(UTC)
        attributes = {"name": container.name, "image": container.body["image"], **container.labels}
        if action == "died":
            attributes["containerExitCode"] = str(container.exit_code)
        self.events.append(
            {
                "Type": "container",
                "Action": action,
                "Actor": {"ID": container.id, "Attributes": attributes},
                "time": int(now.timestamp()),
                "timeNano": int(now.timestamp() * 1e9),
            }
        )
        event, self.happened = self.happened, anyio.Event()
        event.set()

    async def records(
        self,
        wanted: Callable[[dict[str, Any]], bool],
        *,
        since: float | None,
        stream: bool,
    ) -> Any:
        """Yield events, one JSON object a line: those since a moment, and then those to come."""
        position = len(self.events) if since is None and stream else 0
        while True:
            for event in self.events[position:]:
                if wanted(event) and event["timeNano"] >= (since or 0) * 1e9:
                    yield json.dumps(event).encode() + b"\n"
            position = len(self.events)
            if not stream:
                return
            await self.happened.wait()
