"""What `barasync doctor` makes of facts: findings, each with what to do where it is not well.

Pure: facts in, findings out. `host_facts` gets the facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from barasync.aiopodman import Info, PodmanVersion
from barasync.aiopodman.quirks import active
from barasync.cli.host_facts import HostFacts, OpenFiles, Space, TaskLimit
from barasync.engine.network_hints import NONE_DOES_WITHOUT
from barasync.images.emulation import Check, Emulator
from barasync.matrix.platforms import Platform, short_name

_CONTROLLERS = ("cpu", "memory", "pids")

# Podman's `num_locks`: a container, a pod and a volume take one each, for as long as they exist.
_DEFAULT_LOCKS = 2048
_FEW_LOCKS = 100

# Measured with 16 cells that run: 5 descriptors a cell on either side of the socket, 8 to 13 beside
# them. A cell holds up to 60 more on this side while its artifacts are collected.
FILES_OF_A_CELL = 8
_OTHER_FILES = 64
_MANY_CELLS = 32

# A cell starts conmon, crun and podman's cleanup, a dozen threads each; what it runs comes on top.
_FEW_TASKS = 2048

_GIBIBYTE = 1024**3
_LITTLE_SPACE = 5 * _GIBIBYTE
_LITTLE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis; `fix` is what to do where something is not well."""

    subject: str
    text: str
    well: bool = True
    fix: str | None = None


def service(info: Info, *, exact: bool) -> Iterator[Finding]:
    """Say what the service tells of itself; `exact` says whether usage can be measured."""
    yield Finding("rights", "rootless" if info.host.security.rootless else "rootful")
    yield Finding("usage", "exact, from each cell's cgroup" if exact else "not measured here")
    runtime = info.host.oci_runtime
    yield Finding("runtime", runtime.version.partition("\n")[0] or runtime.name)


def limits(info: Info, delegated: Collection[str] | None) -> Iterator[Finding]:
    """Judge which limits hold; `delegated` are the controllers of the user's slice, if known."""
    host = info.host
    there = set(host.cgroup_controllers)
    missing = [name for name in _CONTROLLERS if name not in there]
    cgroups = f"cgroups {host.cgroup_version}, manager {host.cgroup_manager or 'unknown'}"
    if not missing:
        yield Finding("limits", f"{cgroups}: cpu, memory and pids limits hold")
        return
    text = f"{cgroups}: no {', '.join(missing)} limits"
    if not host.security.rootless:
        fix = "the kernel does not offer them: look for `cgroup_disable` on its command line"
    elif host.cgroup_version != "v2":
        fix = "without root, limits need cgroup v2: boot with systemd.unified_cgroup_hierarchy=1"
    else:
        if delegated is not None:
            text += f" (delegated to the user: {', '.join(sorted(delegated)) or 'nothing'})"
        fix = (
            "delegate them: `Delegate=cpu cpuset io memory pids` under [Service] in"
            " /etc/systemd/system/user@.service.d/delegate.conf, then log in again"
        )
    yield Finding("limits", text, well=False, fix=fix)


def locks(info: Info, *, containers: int, volumes: int) -> Finding:
    """Judge podman's locks; the numbers stand in where podman does not tell how many are free."""
    free = info.host.free_locks
    if free is not None:
        text = f"{free} free"
    else:
        free = _DEFAULT_LOCKS - containers - volumes
        text = (
            f"this podman does not tell; {containers} containers and {volumes} volumes have one"
            f" each, of {_DEFAULT_LOCKS} by default"
        )
    return Finding(
        "locks",
        text,
        well=free >= _FEW_LOCKS,
        fix="`podman volume prune` frees those of leaked volumes; `num_locks` in containers.conf,"
        " and then `podman system renumber`, makes more",
    )


def open_files(own: OpenFiles, theirs: OpenFiles | None, *, cpus: int) -> Iterator[Finding]:
    """Judge how many cells both processes can hold open at once; `theirs` if it can be seen."""
    yield _open_files("open files", own, cpus, "`ulimit -n {wanted}` before the command")
    if theirs is not None:
        fix = "`LimitNOFILE={wanted}` for podman.service, or `ulimit -n` where it is started"
        yield _open_files("of podman", theirs, cpus, fix)


def _open_files(subject: str, files: OpenFiles, cpus: int, fix: str) -> Finding:
    cells = max(0, files.soft - _OTHER_FILES) // FILES_OF_A_CELL
    many = max(_MANY_CELLS, cpus)
    return Finding(
        subject,
        f"{files.soft} (hard limit {files.hard}), enough for {cells} cells at once",
        well=cells >= many,
        fix=fix.format(wanted=_OTHER_FILES + FILES_OF_A_CELL * many),
    )


def tasks(limited: Sequence[TaskLimit]) -> Iterator[Finding]:
    """Say which limits on processes and threads are low; nothing where none is."""
    for limit in limited:
        if limit.most - limit.used < _FEW_TASKS:
            yield Finding(
                "processes",
                f"{limit.name} allows {limit.most}, and {limit.used} are there",
                well=False,
                fix=f"raise {limit.name}, or run few cells at once with --jobs",
            )


def storage(info: Info, space: Space | None) -> Iterator[Finding]:
    """Judge the driver and the room of the service's storage; `space` where that can be seen."""
    store = info.store
    if store.graph_driver_name == "vfs":
        yield Finding(
            "storage",
            f"vfs in {store.graph_root}: every container is a full copy of its image",
            well=False,
            fix='use `driver = "overlay"` in storage.conf; without root it may need fuse-overlayfs',
        )
    else:
        yield Finding("storage", f"{store.graph_driver_name} in {store.graph_root}")
    told = Space(store.graph_root_allocated - store.graph_root_used, store.graph_root_allocated)
    fix = "`barasync clean` and `podman image prune` free what nobody uses"
    yield _space("", space or told, fix)


def _space(subject: str, space: Space, fix: str) -> Finding:
    if space.total <= 0:
        return Finding(subject, "how much is free cannot be told")
    share = space.free / space.total
    return Finding(
        subject,
        f"{space.free / _GIBIBYTE:.1f} GiB free of {space.total / _GIBIBYTE:.1f} ({share:.0%})",
        well=space.free >= _LITTLE_SPACE and share >= _LITTLE_SHARE,
        fix=fix,
    )


def host(facts: HostFacts) -> Iterator[Finding]:
    """Judge what is known of this host alone."""
    yield Finding("runs", f"logs and artifacts go below {facts.directory}")
    yield _space("", facts.space, "remove old runs: they are directories in .barasync/runs")
    yield from tasks(facts.tasks)
    for program, (path, purpose) in facts.programs.items():
        yield Finding(program, path or f"missing; it {purpose}", well=path is not None)
    if facts.hook is not None:
        yield Finding(
            "hook",
            f"{facts.hook.path}: "
            + (facts.hook.damage or "whole; what it refuses podman does not start"),
            well=facts.hook.damage is None,
            fix="no container with the annotation starts: `barasync network install-hook` again",
        )


def networks(*, local: bool) -> Iterator[Finding]:
    """Say where rules of networks cannot be loaded; `local`: is the service on this machine?"""
    if not local:
        yield Finding(
            "networks",
            "the service is on another machine, where rules cannot be loaded from here: no cell"
            " starts whose network is a preset, as `private` is by default, or a table",
            well=False,
            fix=NONE_DOES_WITHOUT,
        )


def architectures(
    wanted: Sequence[Platform],
    *,
    checks: Mapping[Platform, Check],
    emulators: Mapping[Platform, Emulator],
    untried: str,
) -> Iterator[Finding]:
    """Say which architectures run: by execution, else by what this kernel has registered.

    `emulators` is empty where the service is on another machine; `untried` says why a platform that
    is not among `checks` was not executed.
    """
    for platform in wanted:
        check, emulator = checks.get(platform), emulators.get(platform)
        fix = "run `barasync arch setup` on the machine of the service"
        if emulator is not None:
            fix = emulator.fix or fix
        name = short_name(platform)
        if check is not None and check.works:
            how = f"{emulator.state}, " if emulator is not None and emulator.usable else ""
            yield Finding(name, f"{how}executed in {check.milliseconds or 0:.0f} ms")
        elif check is not None:
            yield Finding(name, f"does not run: {check.reason}", well=False, fix=fix)
        elif emulator is not None:
            text = f"{emulator.state.reason or emulator.state.value}; not executed: {untried}"
            yield Finding(name, text, well=emulator.usable, fix=fix)
        else:
            yield Finding(name, f"not executed: {untried}")


def quirks(version: PodmanVersion) -> Iterator[Finding]:
    """List the traps of this podman, and the ways around them."""
    for quirk in active(version):
        yield Finding(quirk.name, f"{quirk.trap}; {quirk.workaround}")
