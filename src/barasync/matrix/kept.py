"""What is remembered of a failed cell's settings, for whoever looks into it afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from barasync.config.schema import CellSettings, CellTable, WorkspaceMode


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSettings:
    """The settings of a cell that an image of its container does not have.

    Those of its environment and its user are in the image. `memory` is in bytes, `cpus` in cores;
    `None` there and for `pids` means no limit. Secrets are named by their sources, never by what
    they hold.
    """

    workspace: WorkspaceMode
    network: str
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    cap_add: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: CellSettings) -> KeptSettings:
        """Return what is to be remembered of the settings of a cell."""
        return cls(
            workspace=settings.workspace,
            network=settings.network,
            memory=settings.memory,
            cpus=settings.cpus,
            pids=settings.pids,
            cap_add=settings.cap_add,
            secrets=settings.secrets,
            volumes=settings.volumes,
            caches=settings.caches,
        )

    def table(self) -> CellTable:
        """Return them as the topmost layer of the settings of a cell on the kept image.

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
            # Also where there were none: the file may have some by now.
            cap_add=list(self.cap_add),
            secrets=list(self.secrets),
            volumes=list(self.volumes),
            caches=list(self.caches),
        )
