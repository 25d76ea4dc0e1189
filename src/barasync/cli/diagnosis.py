"""What `barasync doctor` finds: facts about the service and the host, each with what to do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import typer

from barasync.aiopodman import Info, PodmanVersion
from barasync.aiopodman.quirks import active
from barasync.cli.connect import Connection, connect
from barasync.errors import EXIT_OK, EngineUnavailable
from barasync.images.emulation import Host, survey
from barasync.matrix import platforms
from barasync.matrix.platforms import short_name

_ARCHITECTURES = ("amd64", "arm64", "riscv64")
_PROGRAMS = {
    "git": "tells which files belong to the project; without it all of them do",
    "mmdebstrap": "makes images from Debian packages (package mmdebstrap)",
    "nft": "will enforce network presets (package nftables)",
}
_CONTROLLERS = ("cpu", "memory", "pids")
_FEW_LOCKS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis; `fix` is what to do where something is not well."""

    subject: str
    text: str
    well: bool = True
    fix: str | None = None


async def diagnose(url: str | None, environ: Mapping[str, str]) -> int:
    """Print the diagnosis; end with 4 where podman cannot be had."""
    notices: list[str] = []
    try:
        async with connect(url, environ, notify=notices.append) as connection:
            info = await connection.podman.system.info()
            exact = connection.cgroups is not None
            findings = [*_connection(connection, notices), *service(info, exact=exact)]
            quirks = list(_quirks(connection.podman.version))
            code = EXIT_OK
    except EngineUnavailable as error:
        findings = [Finding("podman", str(error), well=False, fix=error.hint)]
        quirks = []
        code = error.exit_code
    _print([*findings, *_programs(environ.get("PATH")), *_emulators(), *quirks])
    return code


def service(info: Info, *, exact: bool) -> Iterator[Finding]:
    """Judge what the service tells of itself; `exact` says whether usage can be measured."""
    host = info.host
    rootless = host.security.rootless
    yield Finding("rights", "rootless" if rootless else "rootful")
    missing = [name for name in _CONTROLLERS if name not in host.cgroup_controllers]
    cgroups = f"{host.cgroup_version}, manager {host.cgroup_manager or 'unknown'}"
    if missing:
        yield Finding(
            "limits",
            f"cgroups {cgroups}: no {', '.join(missing)} limits",
            well=False,
            fix="rootless limits need cgroup v2 with these controllers delegated to the user",
        )
    else:
        yield Finding("limits", f"cgroups {cgroups}: cpu, memory and pids limits hold")
    yield Finding("usage", "exact, from each cell's cgroup" if exact else "not measured here")
    yield Finding("storage", f"{info.store.graph_driver_name} in {info.store.graph_root}")
    yield Finding("runtime", host.oci_runtime.version.partition("\n")[0] or host.oci_runtime.name)
    if host.free_locks is not None:
        yield Finding(
            "locks",
            f"{host.free_locks} free",
            well=host.free_locks >= _FEW_LOCKS,
            fix="`podman volume prune` frees the locks of leaked volumes",
        )


def _connection(connection: Connection, notices: list[str]) -> Iterator[Finding]:
    yield Finding("podman", f"{connection.podman.version} at {connection.endpoint}")
    for note in (*notices, *connection.notes):
        yield Finding("", note)
    if connection.rlimits:
        limits = ", ".join(f"{limit.type} {limit.hard}" for limit in connection.rlimits)
        yield Finding("", f"containers are created within this host's hard limits: {limits}")


def _quirks(version: PodmanVersion) -> Iterator[Finding]:
    for quirk in active(version):
        yield Finding(quirk.name, f"{quirk.trap}; {quirk.workaround}")


def _programs(path: str | None) -> Iterator[Finding]:
    for program, purpose in _PROGRAMS.items():
        found = shutil.which(program, path=path)
        yield Finding(program, found or f"missing; it {purpose}", well=found is not None)


def _emulators() -> Iterator[Finding]:
    for emulator in survey([platforms.parse(name) for name in _ARCHITECTURES], Host.current()):
        yield Finding(
            short_name(emulator.platform),
            emulator.state.value,
            well=emulator.usable,
            fix=emulator.fix,
        )


def _print(findings: list[Finding]) -> None:
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        sign = " " if finding.well else "!"
        typer.echo(f"{sign} {finding.subject:<{width}}  {finding.text}")
        if not finding.well and finding.fix is not None:
            typer.echo(f"  {'':<{width}}  {finding.fix}")
