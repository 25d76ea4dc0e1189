"""What this client reads of podman's answers; everything else in them is ignored.

Names are podman's, in Python's spelling. An ID has 64 hexadecimal digits, without `sha256:`. A time
in the year 1 means *never*.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
from msgspec import field

from barasync.aiopodman.health import Health, HealthSettings
from barasync.aiopodman.network_models import NetworkSettings

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def moment(nanoseconds: int) -> dt.datetime:
    """Return a time that is in nanoseconds since the epoch, to the microsecond."""
    return EPOCH + dt.timedelta(microseconds=nanoseconds // 1_000)


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A document whose members podman names in Go's style."""


class Created(_Wire, frozen=True, kw_only=True):
    """The answer to `containers/create`, `commit` and `images/import`."""

    id: str
    warnings: list[str] = []


class Removed(_Wire, frozen=True, kw_only=True):
    """What became of one container or volume: `error` is `None` when it is gone.

    Podman encodes the error as an object or as text, depending on its version.
    """

    id: str = ""
    error: Any = field(default=None, name="Err")

    @property
    def reason(self) -> str:
        """Why it is still there; of most of its own errors podman sends an empty object."""
        return str(self.error) if self.error else "podman does not say why"


class ContainerSummary(_Wire, frozen=True, kw_only=True):
    """A container in a list; `state` is podman's word for it, such as `running`.

    `started_at` and `exited_at` are in seconds since the epoch, negative where that has not
    happened since its last start. `networks` are by name; one that has joined another container's
    namespace has none. `health` is `Health.status`.
    """

    id: str
    names: list[str] = []
    image: str = ""
    image_id: str = field(default="", name="ImageID")
    state: str = ""
    exit_code: int = 0
    created: dt.datetime | None = None
    started_at: int = -1
    exited_at: int = -1
    labels: dict[str, str] = {}
    networks: list[str] = []
    pid: int = 0
    health: str = field(default="", name="Status")


class ContainerStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a container consumes: bytes of memory now, nanoseconds of CPU since its start.

    `cpu_percent` is of one core, since its start on 4.3.1. `block_input` and `block_output` are
    bytes read from and written to block devices. `taken_at_nanoseconds` is when that was measured,
    since the epoch by the clock of podman's host.
    """

    container_id: str = field(default="", name="ContainerID")
    name: str = field(default="", name="Name")
    memory_bytes: int = field(default=0, name="MemUsage")
    memory_limit: int = field(default=0, name="MemLimit")
    cpu_nanoseconds: int = field(default=0, name="CPUNano")
    cpu_percent: float = field(default=0.0, name="CPU")
    pids: int = field(default=0, name="PIDs")
    block_input: int = field(default=0, name="BlockInput")
    block_output: int = field(default=0, name="BlockOutput")
    taken_at_nanoseconds: int = field(default=0, name="SystemNano")


class StatsReport(_Wire, frozen=True, kw_only=True):
    """A sample of podman's statistics; `stats` is `None` where no container runs.

    One with an `error` is raised as such, and not yielded.
    """

    error: Any = None
    stats: list[ContainerStats] | None = None


class ContainerState(_Wire, frozen=True, kw_only=True):
    """The state of a container; `exit_code` means something once `ended` is true.

    `status` is one of created, initialized, running, paused, stopping, stopped, exited, removing.
    `conmon_pid` is its monitor's process, in podman's PID namespace, also after that has ended. For
    a container of a few milliseconds 4.3.1 may report a `finished_at` before `started_at`.
    """

    status: str = ""
    exit_code: int = 0
    oom_killed: bool = field(default=False, name="OOMKilled")
    pid: int = 0
    conmon_pid: int = 0
    error: str = ""
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    cgroup_path: str = ""
    health: Health = Health()

    @property
    def started(self) -> bool:
        """Whether the container's command was ever executed."""
        return self.status not in {"", "created", "configured", "initialized"}

    @property
    def ended(self) -> bool:
        """Whether the container's process ran and is gone."""
        return self.status in {"stopped", "exited"}


class ContainerConfig(_Wire, frozen=True, kw_only=True):
    """What a container was created with; `env` holds `NAME=value`.

    `health_check` is its own, or that of its image.
    """

    image: str = ""
    cmd: list[str] = []
    env: list[str] = []
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    working_dir: str = ""
    user: str = ""
    tty: bool = False
    timeout: int = 0
    health_check: HealthSettings | None = field(default=None, name="Healthcheck")


class LogConfig(_Wire, frozen=True, kw_only=True):
    """Where podman keeps a container's output, on the service's host; empty where in no file."""

    path: str = ""


class MountInspect(_Wire, frozen=True, kw_only=True):
    """Something that is mounted in a container.

    Podman calls an overlay of a directory a bind, and one of a volume a volume (measured on 4.3.1
    and 5.4.2).
    """

    type: str = ""
    destination: str = ""
    options: list[str] = []

    @property
    def is_overlay(self) -> bool:
        """Whether it is an overlay: its options name a lower directory, or ask for one."""
        return any(option == "O" or option.startswith("lowerdir=") for option in self.options)


class HostConfig(_Wire, frozen=True, kw_only=True):
    """What of a container concerns its host; the keys of `tmpfs` are where one is mounted."""

    log_config: LogConfig = LogConfig()
    tmpfs: dict[str, str] = {}


class ContainerInspect(_Wire, frozen=True, kw_only=True):
    """A container in full; `image` is the ID of its image, `image_name` how that was named.

    `mounts` are its volumes, binds and overlays. `size_rw` is what it has written beyond its image,
    in bytes, `None` unless it was asked for. `oci_runtime` is the name of its runtime, or a path.
    """

    id: str
    name: str = ""
    created: dt.datetime | None = None
    image: str = ""
    image_name: str = ""
    state: ContainerState = ContainerState()
    config: ContainerConfig = ContainerConfig()
    host_config: HostConfig = HostConfig()
    network_settings: NetworkSettings = NetworkSettings()
    mounts: list[MountInspect] = []
    size_rw: int | None = None
    oci_runtime: str = field(default="", name="OCIRuntime")


class ImageSummary(_Wire, frozen=True, kw_only=True):
    """An image in a list; `size` in bytes, `created` in seconds since the epoch.

    `digest` is that of its manifest, by which a manifest list names it, or of the manifest list
    that it was first pulled from. `architecture` is empty
    before podman 5. `parent_id` is the image it was committed from, empty once that is removed.
    """

    id: str
    parent_id: str = ""
    digest: str = ""
    repo_tags: list[str] = []
    repo_digests: list[str] = []
    labels: dict[str, str] = {}
    size: int = 0
    created: int = 0
    architecture: str = field(default="", name="Arch")

    @property
    def digests(self) -> frozenset[str]:
        """All digests by which podman knows it: those of its manifests and of lists that hold it.

        Of an image without a name podman tells one.
        """
        return frozenset(full.rpartition("@")[2] for full in self.repo_digests) | {self.digest}


class ImageConfig(_Wire, frozen=True, kw_only=True):
    """What an image gives to the containers made of it."""

    env: list[str] = []
    entrypoint: list[str] = []
    cmd: list[str] = []
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""


class ImageInspect(_Wire, frozen=True, kw_only=True):
    """An image in full; `size` in bytes, `manifest_type` is the media type of its manifest.

    `digest` is that of its manifest, or of the manifest list that it was first pulled from.

    `variant` is empty on every podman so far: inspect does not report it (measured on 4.3.1 and
    5.4.2). An image in OCI's format has no `health_check`, whatever it was made from.
    """

    id: str
    digest: str = ""
    architecture: str = ""
    variant: str = ""
    os: str = ""
    manifest_type: str = ""
    repo_tags: list[str] = []
    repo_digests: list[str] = []
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    size: int = 0
    created: dt.datetime | None = None
    config: ImageConfig = ImageConfig()
    health_check: HealthSettings | None = field(default=None, name="Healthcheck")


class ManifestPlatform(msgspec.Struct, frozen=True, kw_only=True):
    """The platform of one image of a manifest list."""

    architecture: str = ""
    os: str = ""
    variant: str = ""


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One image of a manifest list; `digest` is that of its manifest, it need not be here."""

    digest: str
    platform: ManifestPlatform = ManifestPlatform()


class ManifestList(msgspec.Struct, frozen=True, kw_only=True):
    """The images of several platforms that go by one name.

    Source: OCI image specification, image-index.
    """

    manifests: list[ManifestEntry] = []


class TransferProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a pull or push: a line of text, what was moved, or the error it ended with.

    A pull ends with the ID of the image, the push of an image with the digest of what the registry
    has now (not before podman 5), that of a manifest list with its digest.
    """

    stream: str = ""
    error: str = ""
    id: str = ""
    digest: str = field(default="", name="manifestdigest")
    list_digest: str = field(default="", name="Id")


class BuildProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a build: text that podman or a step prints, or the error it ended with."""

    stream: str = ""
    error: str = ""


class VolumeSummary(_Wire, frozen=True, kw_only=True):
    """A volume in a list; `anonymous` where podman made it for a container, and named it.

    `options` are what its driver was given.
    """

    name: str
    driver: str = ""
    mountpoint: str = ""
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    anonymous: bool = False


class CreatedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `secrets/create`."""

    id: str = field(name="ID")


class SecretSpec(_Wire, frozen=True, kw_only=True):
    """What a secret was made with, its bytes left out."""

    name: str
    labels: dict[str, str] = {}


class SecretSummary(_Wire, frozen=True, kw_only=True):
    """A secret; old podmans leave its labels out of a list."""

    id: str = field(name="ID")
    spec: SecretSpec


class EventActor(_Wire, frozen=True, kw_only=True):
    """What an event happened to; a container's labels are among its attributes."""

    id: str = field(default="", name="ID")
    attributes: dict[str, str] = {}


class Event(_Wire, frozen=True, kw_only=True):
    """Something that happened on the service; `time_nano` in nanoseconds since the epoch."""

    type: str
    action: str
    actor: EventActor = EventActor()
    time_nano: int = field(default=0, name="timeNano")

    @property
    def time(self) -> dt.datetime:
        """When it happened, in UTC, to the microsecond."""
        return moment(self.time_nano)


class VersionComponent(_Wire, frozen=True, kw_only=True):
    """A program that the service is made of."""

    name: str
    version: str = ""


class Version(_Wire, frozen=True, kw_only=True):
    """The service's version and those of its programs."""

    version: str
    os: str = ""
    arch: str = ""
    kernel_version: str = ""
    components: list[VersionComponent] = []


class _Camel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A document whose members podman names in JavaScript's style."""


class ProgramInfo(_Camel, frozen=True, kw_only=True):
    """A program that podman calls."""

    name: str = ""
    path: str = ""
    package: str = ""
    version: str = ""


class SecurityInfo(_Camel, frozen=True, kw_only=True):
    """How containers are confined."""

    rootless: bool = False
    seccomp_enabled: bool = False
    selinux_enabled: bool = field(default=False, name="selinuxEnabled")
    apparmor_enabled: bool = False


class HostInfo(_Camel, frozen=True, kw_only=True):
    """The service's host; memory in bytes. `free_locks` is `None` where podman does not tell."""

    arch: str = ""
    os: str = ""
    kernel: str = ""
    hostname: str = ""
    cpus: int = 0
    mem_total: int = 0
    mem_free: int = 0
    swap_total: int = 0
    cgroup_manager: str = ""
    cgroup_version: str = ""
    cgroup_controllers: list[str] = []
    event_logger: str = ""
    log_driver: str = ""
    network_backend: str = ""
    free_locks: int | None = None
    conmon: ProgramInfo = ProgramInfo()
    oci_runtime: ProgramInfo = ProgramInfo()
    security: SecurityInfo = SecurityInfo()


class StoreInfo(_Camel, frozen=True, kw_only=True):
    """Where containers and images lie; the size of that file system, and its use, in bytes."""

    graph_driver_name: str = ""
    graph_root: str = ""
    graph_root_allocated: int = 0
    graph_root_used: int = 0
    run_root: str = ""


class Info(_Camel, frozen=True, kw_only=True):
    """What the service tells of itself and its host."""

    host: HostInfo = HostInfo()
    store: StoreInfo = StoreInfo()
