"""The container that becomes a step's image: made, committed, and gone whatever happens.

A commit takes command, entrypoint, user, labels and environment from the container. Measured on
podman 4.3.1 and 5.4.2: the container has to be made without podman's own environment, or the image
gets `TERM`, `container` and `PATH`, and without podman's users, or a number as user comes into the
image's `/etc/passwd`, and without the image's volumes, or what is written there is not in the
image; command and entrypoint have to be given back by `changes`, where 5.4.2 cannot clear both
(`quirks.COMMIT_CANNOT_CLEAR_COMMAND`), and loses the stop signal. Volumes, exposed ports and labels
stay, in Docker's format the health check and the shell as well.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup

from barasync.aiopodman import (
    Container,
    ContainerSpec,
    ImageInspect,
    Podman,
    Quirk,
    answered,
    create_shielded,
    quirks,
    remove_shielded,
)
from barasync.engine.gate import Gate, Gates
from barasync.engine.step_words import explained
from barasync.images.cache import KIND, REPOSITORY, step_tag
from barasync.images.containerfile import Cmd, Entrypoint, Setting, User, change
from barasync.images.ours import BASE_LABEL, KEY_LABEL, KIND_LABEL

NOT_STARTED = ("/barasync-step",)
SHELL = "/bin/sh"
_COMMIT_SECONDS = 3600.0
_COMMIT_SECONDS_WHEN_CANCELLED = 120.0
_ROOTS = frozenset({"", "0", "root", "0:0", "root:root"})
_DOCKER = "docker"


class Removals:
    """Removes the containers of one image's steps that are done with, while the next goes on.

    While podman removes one it keeps its storage locked: what the next step needs that for comes
    first, and a container goes when that step's script runs, or somebody else makes that step, at
    the latest when it is done.
    """

    def __init__(self, group: TaskGroup, gate: Gate, notice: Callable[[str], None]) -> None:
        self._group = group
        self._gate = gate
        self._notice = notice
        self._waiting: list[Container] = []

    def add(self, container: Container) -> None:
        """Have a container removed later, and those that wait from now on."""
        self.start()
        self._waiting.append(container)

    def start(self) -> None:
        """Remove what waits, from now on; cancellation does not end that."""
        while self._waiting:
            self._group.start_soon(self._remove, self._waiting.pop())

    async def _remove(self, container: Container) -> None:
        # Whoever waits here waits for removals that are bounded in time.
        with CancelScope(shield=True):
            async with self._gate.passed():
                is_gone = await remove_shielded(container)
        if not is_gone:
            self._notice(
                f"container {container.id[:12]} could not be removed; `barasync clean` does that"
                " later, or `podman rm --storage` where podman has forgotten it on a full disk"
            )


@asynccontextmanager
async def removing(gate: Gate, notice: Callable[[str], None]) -> AsyncIterator[Removals]:
    """Give what removes containers while the block goes on; all are gone at its end, or given up.

    `gate` bounds how many are removed at once, `notice` hears of each that podman does not remove.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        removals = Removals(group, gate, notice)
        try:
            yield removals
        except Exception as error:  # noqa: BLE001 - raised below, outside of the group
            failure = error
        finally:
            removals.start()
    if failure is not None:
        raise failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A step's image before it is made.

    `parent` is the image below, `key` the step's. `labels` are those of the container, `maker`
    those of the image; they are plain words. `gates` bound what podman is asked at once. `removals`
    take the container when it is done with. `where` begins messages.
    """

    podman: Podman
    parent: ImageInspect
    key: str
    labels: Mapping[str, str]
    maker: Mapping[str, str]
    gates: Gates
    removals: Removals
    where: str

    @property
    def literal(self) -> bool:
        """Whether this podman's commit takes the values in changes as they are."""
        return self._has(quirks.COMMIT_CHANGES_ARE_LITERAL)

    def never_started(self) -> ContainerSpec:
        """Return a container that is committed without having run."""
        config = self.parent.config
        spec = self.bare()
        if config.cmd or config.entrypoint or not self._has(quirks.COMMAND_IS_DEMANDED):
            return spec
        return replace(spec, command=NOT_STARTED)

    def bare(self) -> ContainerSpec:
        """Return a container of the parent's settings alone."""
        return ContainerSpec(
            image=self.parent.id,
            name=f"barasync-step-{step_tag(self.key)}-{secrets.token_hex(4)}",
            labels=self.labels,
            only_env=True,
            only_users=True,
            no_volumes=True,
        )

    def as_root(self, spec: ContainerSpec) -> ContainerSpec:
        """Return a container whose user is root; the image keeps the parent's."""
        return spec if self.parent.config.user in _ROOTS else replace(spec, user="0:0")

    @asynccontextmanager
    async def container(self, spec: ContainerSpec) -> AsyncIterator[Container]:
        """Create a container for the block; after that it is for `removals`.

        Raises:
            ImageError, EngineUnavailable: it could not be created.
        """
        with explained(self.where, "creating a container"):
            async with self.gates.create.passed():
                container = await create_shielded(self.podman.containers, spec)
        try:
            yield container
        finally:
            self.removals.add(container)

    async def commit(
        self, container: Container, spec: ContainerSpec, changes: tuple[str, ...] = ()
    ) -> str:
        """Make the step's image of a container of `spec`; return its ID.

        Once podman was asked, cancellation waits for up to two minutes for it to be done: what is
        given up half-way may leave an image without a name.

        Raises:
            ImageError, EngineUnavailable: it could not be made.
        """

        async def request() -> str:
            return await container.commit(
                repository=REPOSITORY,
                tag=step_tag(self.key),
                changes=(*self._restored(spec), *changes, *self._labelled()),
                docker_format=_DOCKER in self.parent.manifest_type,
            )

        with explained(self.where, "committing"):
            image = await answered(
                request, within=_COMMIT_SECONDS, cancelled=_COMMIT_SECONDS_WHEN_CANCELLED
            )
        return image.removeprefix("sha256:")

    def _restored(self, spec: ContainerSpec) -> tuple[str, ...]:
        """Return the changes that give the image what its parent has, where the container differs.

        The entrypoint comes first: podman takes the command away with it.
        """
        config = self.parent.config
        settings: list[Setting] = []
        if spec.command or spec.entrypoint:
            command = tuple(config.cmd)
            if not (command or config.entrypoint) and self._has(quirks.COMMIT_CANNOT_CLEAR_COMMAND):
                command = (SHELL,)
            settings += Entrypoint(tuple(config.entrypoint)), Cmd(command)
        if spec.user is not None:
            settings.append(User(config.user))
        written = [change(setting, literal=self.literal) for setting in settings]
        if config.stop_signal and self._has(quirks.COMMIT_LOSES_STOP_SIGNAL):
            written.append(f"STOPSIGNAL {config.stop_signal}")
        return tuple(written)

    def _labelled(self) -> tuple[str, ...]:
        return (
            # A commit copies the container's labels; those of a run have no business on an image.
            *(f"LABEL {name}=" for name in self.labels),
            f"LABEL {KIND_LABEL}={KIND}",
            f"LABEL {KEY_LABEL}={self.key}",
            f"LABEL {BASE_LABEL}={self.parent.id}",
            *(f"LABEL {name}={value}" for name, value in self.maker.items()),
        )

    def _has(self, quirk: Quirk) -> bool:
        return quirk.is_active(self.podman.version.release)
