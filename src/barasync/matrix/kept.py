"""What is remembered of a failed cell's settings, for whoever looks into it afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from msgspec import UNSET

from barasync.config.schema import CellSettings, CellTable, WorkspaceMode
from barasync.config.services import NATIVE, Service, ServiceTable


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptService:
    """A service that the cell had beside it, as it is to be started again.

    `image` is the ID of the image that it had, and `asked` what that was called in the file, which
    may mean another one by now. `ready` is a command, or else what the file has for a port or the
    health check of the image. All else is as in `config.services.Service`.
    """

    name: str
    image: str
    asked: str
    native: bool = False
    ready: tuple[str, ...] | str = ()
    ready_timeout: float = 60.0
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    user: str = ""
    memory: int | None = None
    cpus: float | None = None

    @classmethod
    def of(cls, service: Service, image: str) -> KeptService:
        """Return what is to be remembered of a service whose image has the ID `image`."""
        ready = service.ready
        return cls(
            name=service.name,
            image=image,
            asked=service.image,
            native=service.native,
            ready=ready if isinstance(ready, tuple) else str(ready),
            ready_timeout=service.ready_timeout,
            command=service.command,
            env=service.env,
            user=service.user,
            memory=service.memory,
            cpus=service.cpus,
        )

    def table(self) -> ServiceTable:
        """Return it as an entry of `services`, with the very image that it had."""
        ready = self.ready if isinstance(self.ready, str) else list(self.ready)
        return ServiceTable(
            image=self.image,
            name=self.name,
            arch=NATIVE if self.native else UNSET,
            ready=ready or UNSET,
            ready_timeout=self.ready_timeout,
            command=list(self.command) or UNSET,
            env=dict(self.env),
            user=self.user or UNSET,
            memory=UNSET if self.memory is None else self.memory,
            cpus=UNSET if self.cpus is None else self.cpus,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSettings:
    """The settings of a cell that an image of its container does not have.

    Those of its environment and its user are in the image. `memory` is in bytes, `cpus` in cores;
    `None` there and for `pids` means no limit; `stop_grace` is in seconds. Secrets are named by
    their sources, never by what they hold.
    """

    workspace: WorkspaceMode
    network: str
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    stop_grace: float = 0.0
    workdir: str | None = None
    cap_add: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    services: tuple[KeptService, ...] = ()

    @classmethod
    def of(
        cls, settings: CellSettings, services: Iterable[tuple[Service, str]] = ()
    ) -> KeptSettings:
        """Return what is to be remembered of the settings of a cell.

        `services` are those of the settings, each with the ID of its image.
        """
        return cls(
            workspace=settings.workspace,
            network=settings.network,
            memory=settings.memory,
            cpus=settings.cpus,
            pids=settings.pids,
            stop_grace=settings.stop_grace,
            workdir=settings.workdir,
            cap_add=settings.cap_add,
            secrets=settings.secrets,
            volumes=settings.volumes,
            caches=settings.caches,
            services=tuple(KeptService.of(service, image) for service, image in services),
        )

    def table(self) -> CellTable:
        """Return them as the lowest layer of the settings of a cell on the kept image.

        A workspace that was a layer is in the image, with what the cell made of it: it is `none`
        now, and the image says where a command starts.
        """
        in_image = self.workspace is WorkspaceMode.LAYER
        return CellTable(
            workspace=WorkspaceMode.NONE if in_image else self.workspace,
            network=self.network,
            memory=self.memory or 0,
            cpus=self.cpus or 0,
            pids=self.pids or 0,
            stop_grace=self.stop_grace,
            workdir=UNSET if self.workdir is None else self.workdir,
            cap_add=list(self.cap_add),
            secrets=list(self.secrets),
            volumes=list(self.volumes),
            caches=list(self.caches),
            services=[service.table() for service in self.services],
        )
