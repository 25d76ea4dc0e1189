"""The options of the commands that run cells: `matrix`, `run` and `shell`."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UNSET, structs

from barasync.cli import options
from barasync.config.publishing import parse_publish
from barasync.config.schema import CellTable, WorkspaceMode
from barasync.images.freshness import Freshness
from barasync.matrix.plan import Request
from barasync.matrix.platforms import native

if TYPE_CHECKING:
    from collections.abc import Sequence

    from barasync.aiopodman import Reference
    from barasync.cli.project import Project
    from barasync.matrix.cells import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOptions:
    """What any cell gets; `None` and nothing of a list where the command line is silent."""

    timeout: options.Timeout = None
    memory: options.Memory = None
    cpus: options.Cpus = None
    pids: options.Pids = None
    network: options.Network = None
    allow_host_network: options.AllowHostNetwork = False
    publish: options.Publish = None
    cap_add: options.CapAdd = None
    env: options.Env = None
    secret: options.Secret = None
    volume: options.Volume = None
    cache: options.Cache = None
    workspace: options.Workspace = None
    workdir: options.Workdir = None
    artifact: options.Artifact = None
    stop_grace: options.StopGrace = None

    def table(self) -> CellTable:
        """Return them as the topmost layer of settings.

        Raises:
            ConfigError: an `--env` without a value.
        """
        return CellTable(
            timeout=UNSET if self.timeout is None else self.timeout,
            memory=UNSET if self.memory is None else self.memory,
            cpus=UNSET if self.cpus is None else self.cpus,
            pids=UNSET if self.pids is None else self.pids,
            network=UNSET if self.network is None else self.network,
            cap_add=self.cap_add or UNSET,
            env=options.parse_pairs("--env", self.env) if self.env else UNSET,
            secrets=self.secret or UNSET,
            volumes=self.volume or UNSET,
            caches=self.cache or UNSET,
            workspace=UNSET if self.workspace is None else self.workspace,
            workdir=UNSET if self.workdir is None else self.workdir,
            artifacts=self.artifact or UNSET,
            stop_grace=UNSET if self.stop_grace is None else self.stop_grace,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedCellOptions(CellOptions):
    """What a cell gets that a person does not talk to: other attempts, bounds of its artifacts."""

    artifacts_on: options.ArtifactsWhen = None
    artifacts_size: options.ArtifactsSize = None
    artifacts_files: options.ArtifactsFiles = None
    artifacts_timeout: options.ArtifactsTimeout = None
    retries: options.Retries = None
    retry_on: options.RetriesOn = None

    def table(self) -> CellTable:
        """Return them as the topmost layer of settings.

        Raises:
            ConfigError: an `--env` without a value, or an unknown kind in `--retry-on`.
        """
        # `super()` finds the wrong class where slots made another one.
        return structs.replace(
            CellOptions.table(self),
            artifacts_on=UNSET if self.artifacts_on is None else self.artifacts_on,
            artifacts_size=UNSET if self.artifacts_size is None else self.artifacts_size,
            artifacts_files=UNSET if self.artifacts_files is None else self.artifacts_files,
            artifacts_timeout=UNSET if self.artifacts_timeout is None else self.artifacts_timeout,
            retries=UNSET if self.retries is None else self.retries,
            retry_on=options.parse_retry_on(self.retry_on) if self.retry_on else UNSET,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How any run goes: its service, its images, and what is to be left of its cells."""

    artifacts_dir: options.ArtifactsDir = None
    snapshot: options.Snapshot = None
    pull: options.Pull = Freshness.MISSING
    insecure: options.Insecure = False
    check_elf: options.CheckElf = False
    url: options.Url = None
    verbose: options.Verbose = False

    def snapshots(self, cells: Sequence[Cell]) -> dict[str, Reference]:
        """Return the names of the images to be made of cells, by the IDs of those.

        Raises:
            ConfigError: what `--snapshot` says, or makes of a cell's ID, is no name for an image.
        """
        if self.snapshot is None:
            return {}
        from barasync.images.snapshot import snapshots_of  # noqa: PLC0415 - it loads the client

        return snapshots_of(self.snapshot, [cell.id for cell in cells])


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRunOptions(RunOptions):
    """How a run goes whose output is recorded."""

    report: options.Report = None
    keep_failed: options.KeepFailed = False


def request_of(project: Project, cell: CellOptions) -> Request:
    """Return what is asked of the cells of a project, here and on this machine.

    Raises:
        ConfigError: as `CellOptions.table`.
    """
    return Request(
        native=native(platform.machine()),
        document=project.document,
        origin=project.origin,
        options=cell.table(),
        directory=Path.cwd(),
        environ=os.environ,
        allow_host_network=cell.allow_host_network,
        in_project=project.has_file,
        publish=parse_publish(cell.publish or ()),
    )


def request_of_one(
    project: Project,
    cell: CellOptions,
    *,
    arch: str | None,
    config: str | None,
    needs_files: bool = False,
) -> Request:
    """Return what is asked of a single cell: outside a project, no files unless that is said.

    One that `needs_files`, for a rule say, has those of the working directory there.

    Raises:
        ConfigError: as `CellOptions.table`.
    """
    said = needs_files or cell.workspace is not None or "BARASYNC_WORKSPACE" in os.environ
    if not project.has_file and not said:
        cell = replace(cell, workspace=WorkspaceMode.NONE)
    return replace(
        request_of(project, cell),
        arch=() if arch is None else (arch,),
        config=() if config is None else (config,),
    )
