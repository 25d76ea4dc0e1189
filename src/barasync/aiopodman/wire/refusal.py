"""Podman's error answers as exceptions.

The body is libpod's `{"cause", "message", "response"}`; `cause` is the innermost error and more
telling than the status, which differs between versions for the same mistake: an unknown image is
500 on 4.3.1 and 404 since 4.8.0, a container that cannot be made is 409 on attach in 4.3.1 and 500
in 5.4.2 (measured).

Source: podman `pkg/errorhandling/errorhandling.go`, `libpod/define/errors.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from barasync.aiopodman.errors import (
    APIError,
    BadRequest,
    CommandNotFound,
    Conflict,
    DatabaseError,
    HealthCheckTimeout,
    NoFreeSubnet,
    NotFound,
    OCIRuntimeError,
    PortInUse,
    ResolverFailed,
    ServerError,
    SubnetInUse,
)
from barasync.aiopodman.wire.notices import RESET

MAX_TEXT = 2000
"""Characters of podman's text that are kept: some messages dump whole Go structures."""

_SWITCHING_PROTOCOLS = 101

# What podman was asked to unpack, 2,400 characters, before it says what is wrong.
_DUMP = re.compile(
    r"^error during bulk transfer for copier\.request\{.*\}\}: (?=copier: )", re.DOTALL
)

_BY_CAUSE: tuple[tuple[str, type[APIError]], ...] = (
    ("OCI runtime attempted to invoke a command that was not found", CommandNotFound),
    ("OCI ", OCIRuntimeError),
    ("no such ", NotFound),
    ("image not known", NotFound),
    ("image is not a manifest list", NotFound),
    ("network not found", NotFound),
    ("container state improper", Conflict),
    ("exec session state improper", Conflict),
    ("cannot exec in a container that is not running", Conflict),
    ("can only kill running containers", Conflict),
    ("top can only be used on running", Conflict),
    ("pod already exists", Conflict),
    ("that name is already in use", Conflict),
    # What 5.4.2 says of it where a container is renamed (measured).
    ("UNIQUE constraint failed: ContainerConfig.Name", Conflict),
    ("image is in use by a container", Conflict),
    ("network is being used", Conflict),
    ("network already exists", Conflict),
    ("bridge name ", Conflict),
    ("could not find free subnet", NoFreeSubnet),
    ("address already in use", PortInUse),
    ("volume is being used", Conflict),
    ("volume already exists", Conflict),
    ("secret name in use", Conflict),
    ("healthcheck command exceeded timeout", HealthCheckTimeout),
    ("disk I/O error", DatabaseError),
    ("database is locked", DatabaseError),
)
_BY_ENDING: tuple[tuple[str, type[APIError]], ...] = (
    ("is already used on the host or by another config", SubnetInUse),
)
# EADDRNOTAVAIL: of all reasons the one that passes. Source: netavark 1.14, aardvark-dns 1.14.
_TOO_EARLY = re.compile(r"aardvark-dns failed to start: .*\(os error 99\)", re.DOTALL)
# What podman prints in the place of a command, whose words may be in it, of several lines.
_ERROR = b"Error: "
_IN_OUTPUT = re.compile(
    _ERROR + rb"(?P<message>.*: (?P<cause>OCI [^\n:]+))\n(?:" + RESET + rb")?", re.DOTALL
)
_MOST_IN_OUTPUT = 512 * 1024
_BY_STATUS: dict[int, type[APIError]] = {400: BadRequest, 404: NotFound, 409: Conflict}


class _ErrorBody(msgspec.Struct):
    cause: str = ""
    message: str = ""
    # What podman says instead where it was to change a manifest list.
    errors: list[str] = []
    # What it says of a pod: a text for each of its containers that failed.
    of_containers: list[str] = msgspec.field(default_factory=list, name="Errs")

    @property
    def text(self) -> str:
        return self.message or "; ".join((*self.errors, *self.of_containers))


def refusal(
    status: int,
    body: bytes,
    *,
    method: str,
    path: str,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> APIError:
    """Return the exception for an answer with an error status.

    `path` is the request's path without the version prefix. A body that is not libpod's becomes
    the message as it is.
    """
    try:
        error = msgspec.json.decode(body, type=_ErrorBody)
    except msgspec.DecodeError:
        text = body.decode("utf-8", errors="replace").strip()
        error = _ErrorBody(message=text or "podman gave no reason")
    kind = _classify(status, error.cause, error.message)
    return kind(
        status=status,
        cause=_shortened(error.cause),
        message=_shortened(error.text),
        method=method,
        path=path,
        headers=headers,
    )


def may_be_refusal(data: bytes | bytearray) -> bool:
    """Tell whether `data` may be the beginning of what is printed in a command's place.

    A word of a command, which is part of that, has 128 KiB at most.
    """
    if len(data) > _MOST_IN_OUTPUT:
        return False
    return data.startswith(_ERROR) or _ERROR.startswith(data)


def refusal_in_output(data: bytes, *, method: str, path: str) -> APIError | None:
    """Return the exception for what was printed in a command's place; `None` if it is no refusal.

    Podman has answered by then, with 101.
    """
    found = _IN_OUTPUT.fullmatch(data.replace(b"\r\n", b"\n"))
    if found is None:
        return None
    cause = found["cause"].decode(errors="replace")
    message = _shortened(found["message"].decode(errors="replace"))
    kind = _classify(_SWITCHING_PROTOCOLS, cause, message)
    return kind(status=_SWITCHING_PROTOCOLS, cause=cause, message=message, method=method, path=path)


def _classify(status: int, cause: str, message: str) -> type[APIError]:
    for beginning, kind in _BY_CAUSE:
        if cause.startswith(beginning):
            return kind
    for ending, kind in _BY_ENDING:
        if cause.endswith(ending):
            return kind
    if _TOO_EARLY.search(cause) is not None:
        return ResolverFailed
    # Attach makes the container first; what podman 4.3.1 calls a conflict there is a failure.
    if status == 409 and message.startswith("preparing container"):  # noqa: PLR2004 HTTP's number
        return ServerError
    return _BY_STATUS.get(status, ServerError)


def _shortened(text: str) -> str:
    text = _DUMP.sub("", text)
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    return f"{text[:half]} … {text[-half:]}"
