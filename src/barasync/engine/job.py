"""What an attempt is made of: the job, what all jobs of a run share, and the container of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

from barasync.aiopodman import ContainerSpec, HealthCheck, Mount, Podman, Reference, Rlimit
from barasync.artifacts.place import Place
from barasync.config.services import Service
from barasync.config.volumes import parse_volume
from barasync.engine.caches import users_label
from barasync.engine.detached import Detachment, attempt_name, detached_name
from barasync.engine.dialogue import Dialogue, with_dialogue
from barasync.engine.feeding import OpenStdin
from barasync.engine.gate import Gates
from barasync.engine.identity import ATTEMPT, CELL, WORKSPACE_MODE
from barasync.engine.idle import IdleImage
from barasync.engine.memory import LookAtMemory
from barasync.engine.network_specs import bound, joined, with_policy
from barasync.engine.networks import CellNetwork
from barasync.engine.place import SERVER_GRACE_SECONDS, server_timeout
from barasync.engine.sampler import Sampler
from barasync.engine.secrets import secret_env, secret_files
from barasync.engine.usage import CellCgroup, RunCgroup
from barasync.images.kept import kept_name
from barasync.masking.masker import Masker
from barasync.matrix.cells import Cell
from barasync.networks.listeners import Listen, listeners
from barasync.networks.namespace import Enter, enter
from barasync.workspace.copies import CopySource
from barasync.workspace.live import with_workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt that is ready to run: the cell, its image's ID and its final command.

    `network` is that of the cell's policy, if it has one. `services` are those of the cell, each
    with the ID of its image. `health_check` takes the place of that of the image.
    `snapshot` is the name of the image that is to be made of its container once that has ended;
    with `keeps_failed` only if the cell failed.
    """

    cell: Cell
    number: int
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    artifacts: Place
    network: CellNetwork = field(default_factory=CellNetwork)
    caches: tuple[Mount, ...] = ()
    services: tuple[tuple[Service, str], ...] = ()
    health_check: HealthCheck | None = None
    snapshot: Reference | None = None
    keeps_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What all attempts of a run share.

    `project` is its directory, as this process and the service see it. `cgroup` is the run's,
    `None` where the engine cannot see the service's; then `sampler`, if any, measures usage.
    `clock` is monotonic, in seconds. `rlimits` are those a container needs on a host whose hard
    limits are below podman's defaults. `copies` are put in every container.
    `snapshots` are the names of the images that are to be made of cells, by their IDs; with
    `keep_failed` one is made of each other cell that fails.
    `look_at_memory` tells whether the host of the cells runs short of it, `None` where that cannot
    be seen. `gates` bound what podman is asked at once, and
    `idle` knows the image of containers that only own the namespaces of others.
    `proxies` are variables for cells that may have them, where they do not set them themselves.
    `secrets` are podman's names of the secrets, by source, and `masker` knows what they hold.
    `enter` reaches the network namespaces of containers, `listen` sees what listens there, and
    `host` is a process in that of the service's host; with `gateways_here` this process may listen
    on the gateways of its networks.
    `detachment` says how containers are to go on by themselves, `None` where they end with the run.
    `dialogue` is for a run of one cell, whose output goes to somebody who answers. `stdin` is for
    one as well: what its command reads, while its output is recorded as any other.
    `hurry` is set when nobody wants to wait for the grace of cells any more.
    """

    podman: Podman
    run: str
    labels: Mapping[str, str]
    project: Path
    cgroup: RunCgroup | None
    rlimits: tuple[Rlimit, ...]
    clock: Callable[[], float]
    copies: tuple[CopySource, ...] = ()
    snapshots: Mapping[str, Reference] = field(default_factory=dict)
    keep_failed: bool = False
    look_at_memory: LookAtMemory | None = None
    sampler: Sampler | None = None
    gates: Gates = field(default_factory=Gates)
    idle: IdleImage = field(default_factory=IdleImage)
    proxies: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    masker: Masker = field(default_factory=Masker)
    enter: Enter = enter
    listen: Listen = listeners
    host: int = 1
    gateways_here: bool = False
    detachment: Detachment | None = None
    dialogue: Dialogue | None = None
    stdin: OpenStdin | None = None
    hurry: anyio.Event = field(default_factory=anyio.Event)

    @property
    def may_leave(self) -> bool:
        """Whether the containers of its cells may be left to themselves, renamed."""
        return self.detachment is not None or self.dialogue is not None


def image_of_ended(session: Session, cell: str) -> tuple[Reference | None, bool]:
    """Return the name of the image to be made of a cell, and whether only if that fails."""
    asked = session.snapshots.get(cell)
    if asked is not None or not session.keep_failed:
        return asked, False
    return kept_name(session.run, cell), True


def container_spec(job: Job, session: Session) -> ContainerSpec:
    """Translate a job into what podman is asked to create; looks at directories, so it blocks.

    Raises:
        ConfigError: the cell must not have one of its mounts.
    """
    settings = job.cell.settings
    cgroup = cgroup_of(job, session)
    spec = ContainerSpec(
        image=job.image,
        name=attempt_name(session.run, job.cell.id, job.number),
        command=job.command,
        env={**proxies_for(job, session), **job.environment},
        labels={
            **session.labels,
            **users_label(job.caches),
            CELL: job.cell.id,
            ATTEMPT: str(job.number),
            WORKSPACE_MODE: settings.workspace.value,
        },
        timeout=_timeout(job, session),
        memory_bytes=settings.memory,
        cpus=settings.cpus,
        pids_limit=settings.pids,
        cap_add=settings.cap_add,
        work_dir=settings.workdir,
        mounts=(
            *(mount(volume) for volume in settings.volumes),
            *job.caches,
        ),
        secret_files=secret_files(settings, session.secrets),
        secret_env=secret_env(settings, session.secrets),
        health_check=job.health_check,
        cgroup_parent=None if cgroup is None else cgroup.path,
        monitor_stays=cgroup is not None,
        rlimits=session.rlimits,
    )
    if session.stdin is not None:
        spec = replace(spec, stdin=True)
    if session.dialogue is not None:
        spec = with_dialogue(spec, session.dialogue)
    if job.services:
        spec = beside(spec, job, session.run)
    else:
        spec = connected(spec, job, aliases=_later_names(job, session))
    return with_workspace(spec, settings.workspace, session.project)


def _later_names(job: Job, session: Session) -> tuple[str, ...]:
    # The resolver of a network never hears that a container has another name.
    name = attempt_name(session.run, job.cell.id, job.number)
    return (detached_name(name),) if session.may_leave else ()


def connected(spec: ContainerSpec, job: Job, *, aliases: tuple[str, ...] = ()) -> ContainerSpec:
    """Return `spec` on the network of the cell, and bound by its policy.

    Others on that network find it by its own name, the cell's and `aliases`.
    """
    cell = job.cell
    if cell.policy is None:
        return replace(spec, network=cell.settings.network)
    return with_policy(spec, cell.policy, job.network, aliases=(cell.id, *aliases))


def beside(spec: ContainerSpec, job: Job, run: str) -> ContainerSpec:
    """Return `spec` in the network namespace of a cell with services, and bound by its policy."""
    spec = joined(spec, owner_of(job, run))
    return spec if job.cell.policy is None else bound(spec)


def owner_of(job: Job, run: str) -> str:
    """Return the name of the container whose network namespace a cell with services has."""
    return f"{attempt_name(run, job.cell.id, job.number)}-beside"


def proxies_for(job: Job, session: Session) -> Mapping[str, str]:
    """Return the proxies for a cell that may have them; not for its services.

    Without a policy that is one with a network; under one it is what that lets be reached.
    """
    settings = job.cell.settings
    given: Mapping[str, str] = job.network.proxies
    if job.cell.policy is None:
        given = session.proxies if settings.network != "none" else {}
    if not given or not settings.services:
        return given
    names = ["localhost", *(service.name for service in settings.services)]
    proxies = dict(given)
    for variable in ("no_proxy", "NO_PROXY"):
        proxies[variable] = ",".join(filter(None, (proxies.get(variable), *names)))
    return proxies


def timeout_of_service(job: Job) -> int | None:
    """Return when podman is to end the container if we cannot, in seconds."""
    settings = job.cell.settings
    return server_timeout(settings.timeout, settings.stop_grace + SERVER_GRACE_SECONDS)


def _timeout(job: Job, session: Session) -> int | None:
    """Return podman's own timeout, in seconds: of a container that goes on nobody else's comes."""
    if session.detachment is None:
        return timeout_of_service(job)
    return server_timeout(job.cell.settings.timeout, 0)


def mount(volume: str) -> Mount:
    """Translate a volume of the settings, whose source is absolute or a name."""
    parsed = parse_volume(volume)
    return Mount(parsed.source, parsed.destination, parsed.options)


def cgroup_of(job: Job, session: Session) -> CellCgroup | None:
    """Return the cgroup of an attempt, if the run has one."""
    if session.cgroup is None:
        return None
    return session.cgroup.of_attempt(f"{job.cell.id}-{job.number}")
