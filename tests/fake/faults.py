"""What can go wrong, said by a test before it happens.

    service.inject(Fault("start", Refuses("no space left on device"), times=1))
    service.inject(Fault("archive", EndsAfter(700), labels={"barasync.cell": "a"}))

An operation is named by the last part of its endpoint: `create`, `list`, `inspect`, `init`,
`attach`, `start`, `stop`, `kill`, `wait`, `healthcheck`, `logs`, `archive`, `export`,
`put-archive`, `stat`, `mount`, `unmount`, `commit`, `delete`; `ping`, `version`, `info`, `events`,
`networks`, `volumes`; `network-create`, `network-inspect`, `network-exists`, `network-delete`;
`image-inspect`, `image-list`, `image-import`, `image-pull`, `image-tag`, `image-untag`,
`image-delete`, `build`; `manifest`, `manifest-exists`, `manifest-create`, `manifest-add`,
`manifest-push`, `manifest-delete`; `secret-create`, `secret-list`, `secret-inspect`,
`secret-delete`. `any` is every one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ANY = "any"
MALFORMED_FRAME = b"\x07\x01\x02\x03\x00\x00\x00\x01x"


@dataclass(frozen=True, slots=True)
class Refuses:
    """Podman answers with an error, and does nothing."""

    cause: str
    status: int = 500
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangs:
    """Not a byte of an answer comes; the connection closes after `seconds`, or stays.

    With `performed` podman does what it was asked all the same: the answer alone is lost.
    """

    performed: bool = False
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class EndsAfter:
    """The answer's body ends after so many bytes, as if it were whole, or with the connection."""

    size: int
    cleanly: bool = True


@dataclass(frozen=True, slots=True)
class Inserts:
    """Bytes that do not belong there are in the answer's body, after `at` bytes of it."""

    data: bytes = MALFORMED_FRAME
    at: int = 0


@dataclass(frozen=True, slots=True)
class InPieces:
    """The answer arrives in pieces of so many bytes, from its status line on."""

    size: int = 1


@dataclass(frozen=True, slots=True)
class NeverAccepted:
    """Of `attach`: the monitor never accepts the connection, which podman says in the output."""


@dataclass(frozen=True, slots=True)
class MonitorDies:
    """Of `start`: conmon dies under the container, which podman then says to run for ever."""


@dataclass(frozen=True, slots=True)
class Keeps:
    """Of `delete`: podman answers 200, and says in the body why the container is still there."""

    cause: str


@dataclass(frozen=True, slots=True)
class Prunes:
    """Just before, somebody removes the networks that no container uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dies:
    """The service dies at this request, which it does not answer; its containers go on.

    It comes back at once, or when `FakeService.revive` is called.
    """

    performed: bool = False
    comes_back: bool = False


Effect = (
    Refuses
    | Hangs
    | EndsAfter
    | Inserts
    | InPieces
    | NeverAccepted
    | MonitorDies
    | Keeps
    | Prunes
    | Dies
)


@dataclass(frozen=True, slots=True)
class Fault:
    """An effect on requests to `operation`: on `times` of them, after `skip`; `None` is for ever.

    `labels` are those that the container of the request must carry.
    """

    operation: str
    effect: Effect
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    skip: int = 0
    times: int | None = None

    def concerns(self, operation: str, labels: Mapping[str, str]) -> bool:
        """Tell whether a request is one of those that the fault is about."""
        wanted = self.operation in {operation, ANY}
        return wanted and self.labels.items() <= labels.items()

    def strikes(self, number: int) -> bool:
        """Tell whether it befalls the request of that number, counted from 0."""
        return number >= self.skip and (self.times is None or number < self.skip + self.times)


class Faults:
    """The faults of a service, and how many requests each has seen."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._seen = [[fault, 0] for fault in faults]

    def add(self, fault: Fault) -> None:
        """Have a fault from the next request on."""
        self._seen = [*self._seen, [fault, 0]]

    def clear(self) -> None:
        """Have no faults any more."""
        self._seen = []

    def take(self, operation: str, labels: Mapping[str, str]) -> Effect | None:
        """Return what befalls a request; the first fault that strikes counts."""
        struck: Effect | None = None
        for entry in self._seen:
            fault, number = entry
            if fault.concerns(operation, labels):
                entry[1] += 1
                if struck is None and fault.strikes(number):
                    struck = fault.effect
        return struck
