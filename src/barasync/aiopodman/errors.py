"""What can go wrong between this client and podman.

PodmanError
├── TransportError            the request or its answer did not get through
│   ├── ConnectError          nobody answers at the endpoint, or access is denied
│   └── RequestTimeout        podman did not answer in time
├── ProtocolError             podman sent bytes that its protocol does not allow
│   ├── FrameError            a malformed header in a multiplexed stream
│   ├── StreamTruncated       a stream ended in the middle of a frame or a record
│   ├── OutputLost            a container printed more than podman passed on
│   ├── LogIncomplete         podman's log does not hold what the container printed
│   ├── EventsLost            podman's record of events begins after what was told
│   └── SamplingFailed        podman could not look at what containers consume
├── ServiceError              a private podman service could not be started
└── APIError                  podman answered and refused (status, cause, message, method, path)
    ├── BadRequest            400
    ├── NotFound              404, and 500 where an old podman means "no such …"
    ├── Conflict              409, and 500 where an old podman means a wrong state
    │   └── SubnetInUse       a network of such addresses is there already
    ├── OCIRuntimeError       the OCI runtime could not make the container's process
    │   └── CommandNotFound   because the image has no such command
    └── ServerError           everything else
        ├── DatabaseError     podman could not read or write its database
        ├── NoFreeSubnet      no addresses are left for another network
        ├── ResolverFailed    podman's resolver could not use an address of a new bridge yet
        └── PortInUse         another program listens where a port is to be published
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType


class PodmanError(Exception):
    """The root of everything this package raises on purpose."""


class TransportError(PodmanError):
    """The request or its answer did not get through."""


class ConnectError(TransportError):
    """Nobody answers at the endpoint, or access to it is denied."""


class RequestTimeout(TransportError):
    """Podman did not answer within the time this client allows."""


class ProtocolError(PodmanError):
    """Podman sent bytes that its protocol does not allow."""


class FrameError(ProtocolError):
    """A header in a multiplexed stream is malformed."""


class StreamTruncated(ProtocolError):
    """A stream ended in the middle of a frame or a record."""


class OutputLost(ProtocolError):
    """A container printed more than podman passed on."""


class LogIncomplete(ProtocolError):
    """Podman's log does not hold what a container printed, so that it proves nothing."""


class EventsLost(ProtocolError):
    """Podman's record of events does not reach back to what was told: some may be missing.

    `since` is until when all was told.
    """

    def __init__(self, since: datetime) -> None:
        super().__init__(
            f"podman has no record of its events since {since:%Y-%m-%d %H:%M:%S} UTC any more: "
            "some may be lost, so look at what there is now, and then go on with the same iterator"
        )
        self.since = since


class SamplingFailed(ProtocolError):
    """Podman could not look at what containers consume: one may have vanished meanwhile."""


class ServiceError(PodmanError):
    """A private podman service could not be started, or ended unexpectedly."""


class APIError(PodmanError):
    """Podman answered and refused.

    `status` is the HTTP status, `cause` and `message` are podman's own words (`cause` is the
    innermost error), `method` and `path` name the request without the version prefix. The names of
    `headers` are in any case.
    """

    def __init__(
        self,
        *,
        status: int,
        cause: str,
        message: str,
        method: str,
        path: str,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(f"{message or cause} ({method} {path}: {status})")
        self.status = status
        self.cause = cause
        self.message = message
        self.method = method
        self.path = path
        self.headers = headers


class BadRequest(APIError):
    """400: podman does not understand a parameter."""


class NotFound(APIError):
    """No such container, image, network, secret or path."""


class Conflict(APIError):
    """The object is in a state that does not allow this."""


class SubnetInUse(Conflict):
    """The host, or another network of podman's, has some of a network's addresses."""


class OCIRuntimeError(APIError):
    """The OCI runtime could not make the container's process (podman's CLI exits with 126).

    It is met by whatever request makes the process first: attach, init or start.
    """


class CommandNotFound(OCIRuntimeError):
    """The image has no such command (podman's CLI exits with 127)."""


class HealthCheckTimeout(APIError):
    """A health check has taken longer than it may; it has ended by now."""


class ServerError(APIError):
    """Podman failed."""


class DatabaseError(ServerError):
    """Podman could not read or write its database; whether it did what was asked is unknown."""


class NoFreeSubnet(ServerError):
    """All subnets that podman gives to networks are in use (`default_subnet_pools`)."""


class ResolverFailed(ServerError):
    """The resolver of a container's network could not listen at an address of its new bridge.

    The kernel has not finished with that address yet, and may have a moment later. It is met by
    whatever request makes the process first: attach, init or start. Nothing was executed, and the
    container is as it was created.
    """


class PortInUse(ServerError):
    """Another program listens on the port of the host where one was to be published.

    It is met by whatever request makes the process first: attach, init or start.
    """
