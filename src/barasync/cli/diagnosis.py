"""How `barasync doctor` goes about it: facts of the host and the service, findings, and a print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import anyio
import typer
from anyio import to_thread

from barasync.aiopodman import Info, PodmanError
from barasync.cli import findings
from barasync.cli.arch import USUAL
from barasync.cli.connect import Connection, connect
from barasync.cli.findings import Finding
from barasync.cli.host_facts import HostFacts, ServiceFacts, host_facts, service_facts
from barasync.engine.identity import Identity
from barasync.errors import EXIT_OK, EngineUnavailable
from barasync.images.emulation import Check, Emulator, Host, check, survey
from barasync.matrix import platforms
from barasync.matrix.platforms import Platform

_EXECUTION_SECONDS = 30.0
_NO_SERVICE = "start one with `systemctl start podman.socket`, or name one that runs with --url"


async def diagnose(url: str | None, environ: Mapping[str, str]) -> int:
    """Print the diagnosis; end with 4 where podman cannot be had."""
    wanted = tuple(map(platforms.parse, USUAL))
    host = await to_thread.run_sync(host_facts, Path.cwd(), environ.get("PATH"))
    here = await to_thread.run_sync(_survey, wanted)
    notices: list[str] = []
    try:
        async with connect(url, environ, notify=notices.append) as connection:
            found = await _with_service(connection, notices, host, wanted, here)
            code = EXIT_OK
    except EngineUnavailable as error:
        found = [
            Finding("podman", str(error), well=False, fix=_NO_SERVICE),
            *findings.host(host),
            *findings.architectures(
                wanted, checks={}, emulators=here, untried="there is no podman service"
            ),
        ]
        code = error.exit_code
    _print(found)
    return code


async def _with_service(
    connection: Connection,
    notices: Sequence[str],
    host: HostFacts,
    wanted: Sequence[Platform],
    here: Mapping[Platform, Emulator],
) -> list[Finding]:
    podman = connection.podman
    info = await podman.system.info()
    seen = ServiceFacts()
    if connection.local:
        seen = await to_thread.run_sync(
            service_facts, connection.endpoint.socket_path, info.store.graph_root
        )
    checks, untried = await _execute(connection, wanted)
    return [
        *_connection(connection, notices),
        *findings.service(info, exact=connection.cgroups is not None),
        *findings.limits(info, seen.delegated),
        await _locks(connection, info),
        *findings.open_files(host.open_files, seen.open_files, cpus=info.host.cpus),
        *findings.storage(info, seen.space),
        *findings.host(host),
        *findings.networks(local=connection.local),
        *findings.architectures(
            wanted, checks=checks, emulators=here if connection.local else {}, untried=untried
        ),
        *findings.quirks(podman.version),
    ]


async def _locks(connection: Connection, info: Info) -> Finding:
    if info.host.free_locks is not None:
        return findings.locks(info, containers=0, volumes=0)
    containers = await connection.podman.containers.list(all=True)
    volumes = await connection.podman.volumes.list()
    return findings.locks(info, containers=len(containers), volumes=len(volumes))


async def _execute(
    connection: Connection, wanted: Iterable[Platform]
) -> tuple[dict[Platform, Check], str]:
    """Run a program of each architecture; return how that went, and why the rest was not tried."""
    identity = await to_thread.run_sync(Identity.current)
    labels = identity.labels("doctor")
    checks: dict[Platform, Check] = {}
    with anyio.move_on_after(_EXECUTION_SECONDS):
        for platform in wanted:
            try:
                (checks[platform],) = await check(
                    connection.podman, [platform], labels=labels, rlimits=connection.rlimits
                )
            except (PodmanError, TimeoutError) as error:
                return checks, f"podman made no container for it: {error}"
    return checks, f"the others took {_EXECUTION_SECONDS:.0f} seconds"


def _survey(wanted: Sequence[Platform]) -> dict[Platform, Emulator]:
    return {emulator.platform: emulator for emulator in survey(wanted, Host.current())}


def _connection(connection: Connection, notices: Sequence[str]) -> Iterator[Finding]:
    yield Finding("podman", f"{connection.podman.version} at {connection.endpoint}")
    for note in (*notices, *connection.notes):
        yield Finding("", note)
    if connection.rlimits:
        limits = ", ".join(f"{limit.type} {limit.hard}" for limit in connection.rlimits)
        yield Finding("", f"containers are created within this host's hard limits: {limits}")


def _print(found: Sequence[Finding]) -> None:
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        sign = " " if finding.well else "!"
        typer.echo(f"{sign} {finding.subject:<{width}}  {finding.text}")
        if not finding.well and finding.fix is not None:
            typer.echo(f"  {'':<{width}}  {finding.fix}")
