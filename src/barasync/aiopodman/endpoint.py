"""Where a podman service may be listening, in the order in which to look.

    1. `--url`                        when given, the only candidate
    2. `CONTAINER_HOST`               likewise
    3. `CONTAINER_CONNECTION`         likewise; it names one of podman's system connections
    4. podman's default connection    `podman system connection default`
    5. the rootless socket            unless this is root
    6. the rootful socket

Whoever names an engine gets that engine or an error, never another one. Which candidates there
are is a function of its arguments; only `probe` looks at the host. Source: podman(1).
"""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import anyio
from anyio import to_thread

from barasync.aiopodman.connections import Connections
from barasync.aiopodman.sockets import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FROM_OPTION = "--url"
FROM_HOST_VARIABLE = "CONTAINER_HOST"
FROM_CONNECTION_VARIABLE = "CONTAINER_CONNECTION"

_NAMED = (FROM_OPTION, FROM_HOST_VARIABLE, FROM_CONNECTION_VARIABLE)

PROBE_TIMEOUT = 5.0
"""Seconds to wait for a local socket to take a connection; its backlog may be full."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place where podman may answer: its URL, and who said so."""

    url: str
    origin: str

    @property
    def named(self) -> bool:
        """Whether a person named this very engine, so that no other may stand in for it."""
        return self.origin in _NAMED

    @property
    def socket_path(self) -> str:
        """The path of the Unix socket.

        Raises:
            ValueError: the URL is not a `unix://` one.
        """
        if not self.url.startswith("unix://"):
            raise ValueError(f"{self.url} has no socket path")
        return unquote(self.url.removeprefix("unix://"))

    def __str__(self) -> str:
        return f"{self.url} ({self.origin})"


def unix_url(path: str) -> str:
    """Return the URL of a Unix socket."""
    return f"unix://{quote(path)}"


def candidates(
    *, url: str | None, environ: Mapping[str, str], connections: Connections | None, uid: int
) -> tuple[Endpoint, ...]:
    """Return the endpoints to try, best first; see the module's text for the order.

    A default connection that is not a Unix socket is listed too: `probe` says why it cannot be
    used, so that it appears among what was tried.

    Raises:
        ValueError: an engine was named that cannot be meant: a URL of an unsupported kind, or a
            connection that does not exist. The sentence says who named it.
    """
    connections = connections or Connections()
    if url is not None:
        return (_named_endpoint(url, FROM_OPTION),)
    if host := environ.get(FROM_HOST_VARIABLE):
        return (_named_endpoint(host, FROM_HOST_VARIABLE),)
    if name := environ.get(FROM_CONNECTION_VARIABLE):
        if name not in connections.urls:
            known = ", ".join(sorted(connections.urls)) or "none"
            raise ValueError(
                f"{FROM_CONNECTION_VARIABLE} names the podman system connection {name!r}, "
                f"which does not exist; there are: {known}"
            )
        return (_named_endpoint(connections.urls[name], FROM_CONNECTION_VARIABLE),)
    found: dict[str, Endpoint] = {}
    for endpoint in (*_default_connection(connections), *_well_known_sockets(environ, uid)):
        found.setdefault(endpoint.url, endpoint)
    return tuple(found.values())


def _default_connection(connections: Connections) -> Iterable[Endpoint]:
    name = connections.default
    if name is not None and name in connections.urls:
        text = connections.urls[name]
        yield Endpoint(_canonical(text) or text, f"podman system connection {name}")


def _well_known_sockets(environ: Mapping[str, str], uid: int) -> Iterable[Endpoint]:
    if uid != 0:
        runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
        yield Endpoint(unix_url(f"{runtime}/podman/podman.sock"), "the rootless socket")
    yield Endpoint(unix_url("/run/podman/podman.sock"), "the rootful socket")


def _named_endpoint(text: str, origin: str) -> Endpoint:
    url = _canonical(text)
    if url is None:
        raise ValueError(f"{origin} is {text!r}, but {_why_unusable(text)}")
    return Endpoint(url, origin)


def _canonical(text: str) -> str | None:
    """Return the `unix:///…` form of a URL or of an absolute path, `None` for anything else."""
    if text.startswith("/"):
        return unix_url(text)
    parts = urlsplit(text)
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return f"unix://{parts.path}"
    return None


def _why_unusable(text: str) -> str:
    scheme = urlsplit(text).scheme
    if scheme in {"ssh", "tcp"}:
        return (
            f"{scheme}:// is not supported; forward the remote podman's socket to a local one and "
            "give that as unix:///path/to/podman.sock"
        )
    if scheme == "unix":
        return "a unix:// URL needs an absolute path: unix:///path/to/podman.sock"
    return "it is neither a unix:///path/to/podman.sock URL nor an absolute path"


async def first_reachable(
    endpoints: Iterable[Endpoint],
) -> tuple[Endpoint | None, tuple[str, ...]]:
    """Return the first endpoint that takes a connection, and a sentence for each that did not.

    The sentences are for the error that lists everything that was tried.
    """
    problems: list[str] = []
    for endpoint in endpoints:
        problem = await probe(endpoint)
        if problem is None:
            return endpoint, tuple(problems)
        problems.append(f"{endpoint.origin}: {problem}")
    return None, tuple(problems)


async def probe(endpoint: Endpoint) -> str | None:
    """Say in one sentence why nobody can be reached at this endpoint; `None` when it connects.

    That the other side is podman is for the client to find out.
    """
    try:
        path = endpoint.socket_path
    except ValueError:
        return _why_unusable(endpoint.url)
    try:
        with anyio.fail_after(PROBE_TIMEOUT):
            with await connect(path):
                return None
    except TimeoutError:
        return f"{path} takes no connection within {PROBE_TIMEOUT:.0f} s"
    except OSError as error:
        return await to_thread.run_sync(_why_unreachable, path, error)


def _why_unreachable(path: str, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return f"{path} does not exist"
        case errno.EACCES | errno.EPERM:
            return f"permission denied on {path}"
        case errno.ECONNREFUSED if not _is_socket(path):
            return f"{path} is not a socket"
        case errno.ECONNREFUSED:
            return f"nobody listens on {path}: it is left over from a service that has ended"
        case _:
            return f"{path}: {error.strerror or error}"


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except OSError:
        return False
