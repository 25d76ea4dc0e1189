"""The way to podman: a service that answers, or one of our own for the duration of a command."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from barasync.aiopodman import HostInfo, Info, Podman, PodmanError, Rlimit, ServiceError
from barasync.aiopodman.connections import read_connections
from barasync.aiopodman.endpoint import (
    FROM_HOST_VARIABLE,
    Endpoint,
    candidates,
    first_reachable,
)
from barasync.aiopodman.service_host import listener_pid, service_rlimits
from barasync.engine.once import Once
from barasync.engine.usage import CgroupMounts, parse_mounts
from barasync.errors import ConfigError, EngineUnavailable

if TYPE_CHECKING:
    from barasync.aiopodman.service import PrivateService

_OUTAGE_SECONDS = 20.0
"""How long a service may be away in the middle of a command: time to be started again."""

_DOCTOR = "`barasync doctor` shows what this host can do"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A podman service in use.

    `rlimits` are what its containers have to be created with on this host. `local` says that it
    runs on this machine: a socket may be forwarded from another one; `rootful` that it does so as
    root, as this process does. `pid` is a process that sees
    what the service sees of it, `None` where there is none here. `cgroups` is `None` where the
    service's cgroups cannot be seen or named from here: then usage is not exact. `host` is what
    podman tells of the machine.
    """

    podman: Podman
    endpoint: Endpoint
    host: HostInfo
    rlimits: tuple[Rlimit, ...]
    local: bool
    rootful: bool
    pid: int | None
    cgroups: CgroupMounts | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A podman service that answers; `look` finds out about its machine, once.

    That costs podman 4.3.1 0.3 s of the processor, 5.4.2 0.1 s: as much as all the rest of what
    finds its images made, which does without.
    """

    podman: Podman
    look: Callable[[], Awaitable[Connection]]


@asynccontextmanager
async def connect(
    url: str | None, environ: Mapping[str, str], *, notify: Callable[[str], None]
) -> AsyncIterator[Connection]:
    """Connect to a service and find out about its machine; otherwise as `reach`."""
    async with reach(url, environ, notify=notify) as reached:
        yield await reached.look()


@asynccontextmanager
async def reach(
    url: str | None, environ: Mapping[str, str], *, notify: Callable[[str], None]
) -> AsyncIterator[Reached]:
    """Connect to the service that was asked for, else to the first that answers, else to our own.

    `notify` hears, in a line, that a private service was started; it is stopped with the block.

    Raises:
        ConfigError: the URL, or a variable that names a service, cannot be meant.
        EngineUnavailable: nobody answers and no service could be started; it lists what was tried.
    """
    async with AsyncExitStack() as stack:
        endpoint, tried = await _find(url, environ)
        service: PrivateService | None = None
        if endpoint is None:
            # Where one answers it need not be loaded.
            from barasync.aiopodman.service import private_service  # noqa: PLC0415 - as said

            notify("no podman service answers; starting a private one for this command")
            try:
                service = await stack.enter_async_context(private_service(environ=environ))
            except ServiceError as error:
                raise _unavailable((*tried, f"a private podman service: {error}")) from error
            endpoint = service.endpoint
        try:
            podman = await stack.enter_async_context(Podman(endpoint, outage=_OUTAGE_SECONDS))
        except PodmanError as error:
            raise _unavailable((*tried, f"{endpoint}: {error}")) from error

        async def look(podman: Podman) -> Connection:
            try:
                info = await podman.system.info()
            except PodmanError as error:
                raise _unavailable((*tried, f"{endpoint}: {error}")) from error
            return await to_thread.run_sync(_connection, podman, endpoint, info, service)

        connections: Once[Podman, Connection] = Once(look)
        yield Reached(podman=podman, look=partial(connections.get, podman))


def _connection(
    podman: Podman, endpoint: Endpoint, info: Info, service: PrivateService | None
) -> Connection:
    """Look at what is to be known of a service from this machine; blocking, a few small files."""
    local = _is_here(info.host)
    if service is not None:
        pid: int | None = service.pid
        rlimits = service.rlimits
    else:
        pid = listener_pid(endpoint.socket_path) if local else None
        rlimits = () if pid is None else service_rlimits(pid)
    rootful = local and os.geteuid() == 0 and not info.host.security.rootless
    return Connection(
        podman=podman,
        endpoint=endpoint,
        host=info.host,
        rlimits=rlimits,
        local=local,
        rootful=rootful,
        pid=pid,
        cgroups=_cgroups() if rootful and info.host.cgroup_manager == "cgroupfs" else None,
        notes=() if service is None else service.notes,
    )


async def _find(
    url: str | None, environ: Mapping[str, str]
) -> tuple[Endpoint | None, tuple[str, ...]]:
    try:
        possible = await to_thread.run_sync(_candidates, url, environ)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    endpoint, problems = await first_reachable(possible)
    if endpoint is None and any(each.named for each in possible):
        raise _unavailable(problems)
    return endpoint, problems


def _candidates(url: str | None, environ: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Return the endpoints to try; podman's files are read only where they may matter."""
    named = url is not None or bool(environ.get(FROM_HOST_VARIABLE))
    connections = None if named else read_connections(environ)
    return candidates(url=url, environ=environ, connections=connections, uid=os.geteuid())


def _unavailable(tried: tuple[str, ...]) -> EngineUnavailable:
    lines = "".join(f"\n  - {line}" for line in tried)
    return EngineUnavailable(f"podman cannot be reached; tried:{lines}", hint=_DOCTOR)


def _is_here(host: HostInfo) -> bool:
    """Whether a service's host is this machine, by what it tells: it has no better identity."""
    here = os.uname()
    return (host.kernel, host.hostname) == (here.release, here.nodename)


def _cgroups() -> CgroupMounts:
    return parse_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
