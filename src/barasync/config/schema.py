"""What `barasync.toml` may say, and what a cell's settings are once every layer is folded.

The `…Table` structs are the file's tables: an unknown key is refused. They say the types only; what
a value may be is in `config.values`, because the environment and the command line have to keep to
it as well. `CellSettings` is the folded result that the engine works from. `CellSettings` and
`CellTable` name the same settings; a test keeps them so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from barasync.config.policies import Default, Preset
from barasync.config.services import Service, ServiceTable

WORKSPACE = "/workspace"
"""Where the project's files are in a cell."""

STEP_SECONDS = 6 * 3600.0
"""After this long a step of an image is taken for one that hangs, unless the image says else."""


class WorkspaceMode(StrEnum):
    """How the project's files reach a cell.

    As an image layer; as a view of its directory, which each cell changes for itself (`OVERLAY`) or
    for everybody (`BIND`); or not at all.
    """

    LAYER = "layer"
    OVERLAY = "overlay"
    BIND = "bind"
    NONE = "none"

    @property
    def shares_directory(self) -> bool:
        """Whether the podman service has to see the project's directory."""
        return self in {WorkspaceMode.OVERLAY, WorkspaceMode.BIND}


class ArtifactsOn(StrEnum):
    """Which cells artifacts are collected from; one that did not pass has failed, however."""

    ALWAYS = "always"
    PASSED = "passed"
    FAILED = "failed"


class RetryOn(StrEnum):
    """A kind of failure after which a cell may be tried again."""

    INFRA = "infra"
    TIMEOUT = "timeout"
    OOM = "oom"
    FAILED = "failed"


class Toolchain(StrEnum):
    """A language whose compiler or interpreter, and what builds need with it, an image gets."""

    C = "c"
    GO = "go"
    NODE = "node"
    PYTHON = "python"
    RUST = "rust"


class ImageNetwork(StrEnum):
    """What the steps of an image that execute something can reach."""

    BRIDGE = "bridge"
    NONE = "none"


class CellTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The settings of a cell as one layer gives them; `UNSET` where the layer is silent.

    `timeout`, `artifacts_timeout` and `stop_grace` are in seconds, `memory` and `artifacts_size`
    numbers of bytes or sizes such as `"2g"`, `cpus` in cores. 0 means no limit for `timeout`,
    `memory`, `cpus` and `pids`.
    """

    image: str | UnsetType = UNSET
    command: list[str] | UnsetType = UNSET
    timeout: float | UnsetType = UNSET
    stop_grace: float | UnsetType = UNSET
    memory: str | int | UnsetType = UNSET
    cpus: float | UnsetType = UNSET
    pids: int | UnsetType = UNSET
    network: str | UnsetType = UNSET
    cap_add: list[str] | UnsetType = UNSET
    env: dict[str, str] | UnsetType = UNSET
    secrets: list[str] | UnsetType = UNSET
    volumes: list[str] | UnsetType = UNSET
    caches: list[str] | UnsetType = UNSET
    workspace: WorkspaceMode | UnsetType = UNSET
    workdir: str | UnsetType = UNSET
    artifacts: list[str] | UnsetType = UNSET
    artifacts_on: ArtifactsOn | UnsetType = UNSET
    artifacts_size: str | int | UnsetType = UNSET
    artifacts_files: int | UnsetType = UNSET
    artifacts_timeout: float | UnsetType = UNSET
    retries: int | UnsetType = UNSET
    retry_on: list[RetryOn] | UnsetType = UNSET
    services: list[ServiceTable] | UnsetType = UNSET


class IncludeTable(CellTable, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An entry of `matrix.include`: axis values to match or add, and settings to lay over."""

    arch: str | UnsetType = UNSET
    config: str | UnsetType = UNSET


class ExcludeTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An entry of `matrix.exclude`: every axis value it names has to match."""

    arch: str | UnsetType = UNSET
    config: str | UnsetType = UNSET


class MatrixTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The table `[matrix]`: the axes and what to leave out of or add to their product.

    An empty list is an axis that the file does not declare; the file itself may not write one.
    """

    arch: Annotated[list[str], msgspec.Meta(min_length=1)] = []
    config: Annotated[list[str], msgspec.Meta(min_length=1)] = []
    exclude: list[ExcludeTable] = []
    include: list[IncludeTable] = []


class BootstrapVariant(StrEnum):
    """What a bootstrapped image has besides its packages, and whether they are installed.

    `EXTRACT` only unpacks them. The others install them, maintainer scripts and all: exactly those
    named and what a shell takes (`CUSTOM`), besides those marked essential (`ESSENTIAL`), apt as
    well (`APT`), and all of priority required (`MINBASE`).
    """

    EXTRACT = "extract"
    CUSTOM = "custom"
    ESSENTIAL = "essential"
    APT = "apt"
    MINBASE = "minbase"

    @property
    def installs(self) -> bool:
        """Whether programs of the image's architecture are run to make it."""
        return self is not BootstrapVariant.EXTRACT


class BootstrapTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An image made from a distribution's packages, without a registry.

    A mirror is `URL`, or `URL SUITE` for another suite than `suite`; `{snapshot}` in it becomes the
    date of `snapshot`, which is written as `20260131T000000Z`. Empty `mirrors` and `components`
    mean the distribution's own. `signed_by` is the absolute path of a keyring on this host.
    """

    distribution: str = "debian"
    suite: str
    packages: list[str] = []
    variant: BootstrapVariant = BootstrapVariant.EXTRACT
    mirrors: list[str] = []
    components: list[str] = []
    signed_by: str | UnsetType = UNSET
    allow_expired: bool = False
    snapshot: str | UnsetType = UNSET


class ImageTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A table `[images.NAME]`: an image that barasync makes itself.

    Exactly one of `from_` (a declared image or a reference), `bootstrap` and `containerfile` (a
    path in the project) is what it begins with; the rest is laid on that, in the order of
    `images.steps`, or of `steps`, which says it in the order in which it is done. `context` is the
    directory that the Containerfile sees, the project's if unset; without one what is copied is
    looked for in it.
    `timeout` is how many seconds one step may be executed, 0 for no limit.
    """

    from_: str | UnsetType = msgspec.field(name="from", default=UNSET)
    bootstrap: BootstrapTable | UnsetType = UNSET
    containerfile: str | UnsetType = UNSET
    context: str | UnsetType = UNSET
    env: dict[str, str] = {}
    workdir: str | UnsetType = UNSET
    toolchain: Toolchain | UnsetType = UNSET
    dev: bool = False
    packages: list[str] = []
    copy: list[str] = []
    project: bool = False
    run: list[str] = []
    steps: list[str] = []
    user: str | UnsetType = UNSET
    labels: dict[str, str] = {}
    network: ImageNetwork = ImageNetwork.BRIDGE
    timeout: float = STEP_SECONDS

    @property
    def step_seconds(self) -> float | None:
        """How long one step may be executed; `None` for no limit."""
        return self.timeout or None


class NetworkTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A table `[network.NAME]`: what the cells of a network may reach, over a preset as `base`.

    `ports` are published for each cell, in the form of podman's `--publish`. `join` names a network
    that is there already; without it there is one for each run, which `subnets` (one of a family),
    `internal` and `ipv6` describe.
    """

    base: str | UnsetType = UNSET
    allow: list[str] | UnsetType = UNSET
    deny: list[str] | UnsetType = UNSET
    default: Default | UnsetType = UNSET
    log: bool | UnsetType = UNSET
    ports: list[str] | UnsetType = UNSET
    hosts: dict[str, str] | UnsetType = UNSET
    dns: list[str] | UnsetType = UNSET
    subnets: list[str] | UnsetType = UNSET
    internal: bool | UnsetType = UNSET
    ipv6: bool | UnsetType = UNSET
    join: str | UnsetType = UNSET


class Document(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A whole `barasync.toml`, or the table `[tool.barasync]` of a `pyproject.toml`."""

    defaults: CellTable = CellTable()
    matrix: MatrixTable = MatrixTable()
    config: dict[str, CellTable] = {}
    images: dict[str, ImageTable] = {}
    network: dict[str, NetworkTable] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSettings:
    """Every setting of one cell, folded and parsed.

    `timeout` is in seconds, `memory` in bytes, `cpus` in cores; `None` there and for `pids` means
    no limit. `stop_grace` is how many seconds a cell gets between SIGTERM and SIGKILL, 0 for
    SIGKILL at once. `retries` is how often it may be tried again after a failure of a kind in
    `retry_on`. `image` is the name of a declared image or a reference; `command` still holds its
    placeholders, which `matrix.command` expands; both are empty when no layer gave one. `network`
    is the name of a preset, a declared policy or a mode of podman's. `cap_add` are capabilities
    beyond podman's default ones, in capitals and without `CAP_`, or `ALL`. `secrets`, `volumes` and
    `caches` keep their written form, checked. `workdir` is the absolute path where the command
    starts, `None` for the workspace, or for the image's own where there is none. `artifacts` are
    paths or patterns in the container, relative ones below the workspace. All that is collected of
    a cell is bounded together: `artifacts_size` in bytes, `artifacts_files` in members of archives,
    `artifacts_timeout` in seconds. `services` run beside it, and are started in this order.
    """

    image: str = ""
    command: tuple[str, ...] = ()
    timeout: float | None = 3600.0
    stop_grace: float = 0.0
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = 4096
    network: str = Preset.PRIVATE.value
    cap_add: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    secrets: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    workspace: WorkspaceMode = WorkspaceMode.LAYER
    workdir: str | None = None
    artifacts: tuple[str, ...] = ()
    artifacts_on: ArtifactsOn = ArtifactsOn.ALWAYS
    artifacts_size: int = 16 * 1024**3
    artifacts_files: int = 500_000
    artifacts_timeout: float = 600.0
    retries: int = 0
    retry_on: tuple[RetryOn, ...] = (RetryOn.INFRA,)
    services: tuple[Service, ...] = ()
