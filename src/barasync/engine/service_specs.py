"""What podman is asked to create for the services of a cell, and for what they share with it."""

from __future__ import annotations

from dataclasses import replace

from barasync.aiopodman import ContainerSpec, HealthCheck
from barasync.config.services import Healthy, ListensAt, Service
from barasync.engine.identity import ATTEMPT, CELL
from barasync.engine.idle import Idle
from barasync.engine.job import Job, Session, beside, connected, owner_of, proxies_for
from barasync.engine.place import SERVER_GRACE_SECONDS, server_timeout
from barasync.engine.usage import CellCgroup

_START_SECONDS = 3600.0
"""What may pass between the start of a service and that of its cell, beside what makes it ready.

That are places at the gates, podman's answers, an image that is made of another cell, `--copy`.
"""


def owner_spec(job: Job, session: Session, idle: Idle) -> ContainerSpec:
    """Return the container that owns the namespace; the network is all that it has."""
    spec = replace(
        _spec(job, session, idle.image, owner_of(job, session.run)),
        entrypoint=(idle.path,),
    )
    return connected(spec, job)


def service_spec(job: Job, session: Session, service: Service, image: str) -> ContainerSpec:
    """Return the container of a service."""
    spec = replace(
        _spec(job, session, image, f"{owner_of(job, session.run)}-{service.name}"),
        command=service.command,
        env={**proxies_for(job, session), **service.env},
        user=service.user or None,
        memory_bytes=service.memory,
        cpus=service.cpus,
        pids_limit=job.cell.settings.pids,
        health_check=_health_check(service.ready),
    )
    return beside(spec, job, session.run)


def _health_check(ready: tuple[str, ...] | ListensAt | Healthy) -> HealthCheck | None:
    return HealthCheck(command=ready) if ready and isinstance(ready, tuple) else None


def services_cgroup(job: Job, session: Session) -> CellCgroup | None:
    """Return the cgroup of the services, if the run has one: beside that of the cell.

    What they take does not count for the cell, and its limits are not theirs.
    """
    if session.cgroup is None or not job.services:
        return None
    return session.cgroup.of_attempt(f"{job.cell.id}-{job.number}-services")


def _spec(job: Job, session: Session, image: str, name: str) -> ContainerSpec:
    cgroup = services_cgroup(job, session)
    return ContainerSpec(
        image=image,
        name=name,
        labels={**session.labels, CELL: job.cell.id, ATTEMPT: str(job.number)},
        timeout=_timeout(job),
        cgroup_parent=None if cgroup is None else cgroup.path,
        monitor_stays=cgroup is not None,
        rlimits=session.rlimits,
    )


def _timeout(job: Job) -> int | None:
    """Return when podman is to end them if we cannot, in seconds: not before the cell."""
    settings = job.cell.settings
    if settings.timeout is None:
        return None
    ready = sum(service.ready_timeout for service in settings.services)
    waiting = ready + _START_SECONDS
    return server_timeout(settings.timeout + waiting, settings.stop_grace + SERVER_GRACE_SECONDS)
