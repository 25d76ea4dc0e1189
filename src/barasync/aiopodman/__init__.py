"""An async client for podman's libpod API over a unix socket.

async with Podman(endpoint) as podman:
    container = await podman.containers.create(ContainerSpec(image=image_id, command=("id",)))
    async with container.start_attached() as chunks:
        async for chunk in chunks:
            print(chunk.stream.name, chunk.data)
"""

from __future__ import annotations

from barasync.aiopodman.answers import answered
from barasync.aiopodman.archives import (
    PathStat,
)
from barasync.aiopodman.attachment import (
    Attachment,
)
from barasync.aiopodman.builds import (
    Builds,
    BuildSpec,
)
from barasync.aiopodman.client import (
    Podman,
)
from barasync.aiopodman.container import (
    Condition,
    Container,
)
from barasync.aiopodman.containers import (
    Containers,
)
from barasync.aiopodman.endpoint import (
    Endpoint,
)
from barasync.aiopodman.errors import (
    APIError,
    BadRequest,
    CommandNotFound,
    Conflict,
    ConnectError,
    DatabaseError,
    EventsLost,
    FrameError,
    HealthCheckTimeout,
    LogIncomplete,
    NoFreeSubnet,
    NotFound,
    OCIRuntimeError,
    OutputLost,
    PodmanError,
    PortInUse,
    ProtocolError,
    RequestTimeout,
    ResolverFailed,
    SamplingFailed,
    ServerError,
    ServiceError,
    StreamTruncated,
    SubnetInUse,
    TransportError,
)
from barasync.aiopodman.execs import (
    ExecInspect,
    ExecSession,
    ExecSpec,
)
from barasync.aiopodman.health import (
    HEALTHY,
    UNHEALTHY,
    Health,
    HealthCheck,
    HealthResult,
    HealthSettings,
)
from barasync.aiopodman.images import (
    Images,
    PullPolicy,
)
from barasync.aiopodman.libpod import (
    InvalidName,
)
from barasync.aiopodman.lifetime import (
    create_shielded,
    remove_persistently,
    remove_shielded,
    temporary,
)
from barasync.aiopodman.links import (
    Followed,
    Looked,
    follow,
)
from barasync.aiopodman.login import (
    RegistryLogin,
)
from barasync.aiopodman.logs import (
    whole_log,
)
from barasync.aiopodman.manifests import (
    Manifests,
    Member,
)
from barasync.aiopodman.models import (
    ContainerConfig,
    ContainerInspect,
    ContainerState,
    ContainerStats,
    ContainerSummary,
    Event,
    EventActor,
    HostConfig,
    HostInfo,
    ImageConfig,
    ImageInspect,
    ImageSummary,
    Info,
    LogConfig,
    ManifestEntry,
    ManifestPlatform,
    MountInspect,
    ProgramInfo,
    SecretSpec,
    SecretSummary,
    SecurityInfo,
    StatsReport,
    StoreInfo,
    Version,
    VersionComponent,
    VolumeSummary,
)
from barasync.aiopodman.network_models import (
    HostPort,
    NetworkAttachment,
    NetworkInspect,
    NetworkSettings,
    Subnet,
)
from barasync.aiopodman.networks import (
    Networks,
)
from barasync.aiopodman.output import (
    Received,
    is_as_long_as_its_log,
)
from barasync.aiopodman.pods import (
    PodContainer,
    PodInspect,
    Pods,
    PodSpec,
    PodSummary,
)
from barasync.aiopodman.presence import (
    Presence,
)
from barasync.aiopodman.quirk import (
    Quirk,
)
from barasync.aiopodman.secrets import (
    Secrets,
)
from barasync.aiopodman.spec import (
    ContainerSpec,
    Mount,
    PublishedPort,
    Rlimit,
    SecretFile,
)
from barasync.aiopodman.stats import (
    Processes,
)
from barasync.aiopodman.system import (
    System,
)
from barasync.aiopodman.version import (
    PodmanVersion,
)
from barasync.aiopodman.volumes import (
    Volumes,
)
from barasync.aiopodman.wire.frames import (
    Chunk,
    Stream,
)
from barasync.aiopodman.wire.lines import (
    Ending,
    Line,
    LineSplitter,
)
from barasync.aiopodman.wire.reference import (
    InvalidReference,
    Reference,
    is_image_id,
    parse_reference,
)

__all__ = [
    "HEALTHY",
    "UNHEALTHY",
    "APIError",
    "Attachment",
    "BadRequest",
    "BuildSpec",
    "Builds",
    "Chunk",
    "CommandNotFound",
    "Condition",
    "Conflict",
    "ConnectError",
    "Container",
    "ContainerConfig",
    "ContainerInspect",
    "ContainerSpec",
    "ContainerState",
    "ContainerStats",
    "ContainerSummary",
    "Containers",
    "DatabaseError",
    "Ending",
    "Endpoint",
    "Event",
    "EventActor",
    "EventsLost",
    "ExecInspect",
    "ExecSession",
    "ExecSpec",
    "Followed",
    "FrameError",
    "Health",
    "HealthCheck",
    "HealthCheckTimeout",
    "HealthResult",
    "HealthSettings",
    "HostConfig",
    "HostInfo",
    "HostPort",
    "ImageConfig",
    "ImageInspect",
    "ImageSummary",
    "Images",
    "Info",
    "InvalidName",
    "InvalidReference",
    "Line",
    "LineSplitter",
    "LogConfig",
    "LogIncomplete",
    "Looked",
    "ManifestEntry",
    "ManifestPlatform",
    "Manifests",
    "Member",
    "Mount",
    "MountInspect",
    "NetworkAttachment",
    "NetworkInspect",
    "NetworkSettings",
    "Networks",
    "NoFreeSubnet",
    "NotFound",
    "OCIRuntimeError",
    "OutputLost",
    "PathStat",
    "PodContainer",
    "PodInspect",
    "PodSpec",
    "PodSummary",
    "Podman",
    "PodmanError",
    "PodmanVersion",
    "Pods",
    "PortInUse",
    "Presence",
    "Processes",
    "ProgramInfo",
    "ProtocolError",
    "PublishedPort",
    "PullPolicy",
    "Quirk",
    "Received",
    "Reference",
    "RegistryLogin",
    "RequestTimeout",
    "ResolverFailed",
    "Rlimit",
    "SamplingFailed",
    "SecretFile",
    "SecretSpec",
    "SecretSummary",
    "Secrets",
    "SecurityInfo",
    "ServerError",
    "ServiceError",
    "StatsReport",
    "StoreInfo",
    "Stream",
    "StreamTruncated",
    "Subnet",
    "SubnetInUse",
    "System",
    "TransportError",
    "Version",
    "VersionComponent",
    "VolumeSummary",
    "Volumes",
    "answered",
    "create_shielded",
    "follow",
    "is_as_long_as_its_log",
    "is_image_id",
    "parse_reference",
    "remove_persistently",
    "remove_shielded",
    "temporary",
    "whole_log",
]
