"""What a build executes: found by the cgroup that it is in, and killed.

Podman's builder does not end what a step executes when its client leaves, nor when the service
ends. Where it is killed while podman still listens, podman takes its step for failed and removes
all that the build has made on the way. (Measured on podman 4.3.1 and 5.4.2: 0.05 s.)

Each build has a cgroup of its own, whose name tells whose it is, as that of a run does.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from barasync.engine.usage import RunCgroup, members

_MARK = "+"
_STEP = "step"
_CONTAINER = re.compile(rb'^id="(?P<id>[0-9a-f]{64})"$', re.MULTILINE)
_PAUSE_SECONDS = 0.1
_PROC = Path("/proc")
_SHORT = 4096

Value = TypeVar("Value")


def build_in(run: str, build: str) -> str:
    """Return what the cgroup of one build of a run is named by, in the place of the run's ID."""
    return f"{run}{_MARK}{build}"


def split_build(named: str) -> tuple[str, str]:
    """Return the run and the build that `build_in` made one of; no build for a run's own."""
    run, _, build = named.partition(_MARK)
    return run, build


def parent_of(cgroup: RunCgroup) -> str:
    """Return the cgroup that podman is to make below that of a build."""
    return f"/{cgroup.name}/{_STEP}"


def cgroup_of_parent(parent: str) -> str:
    """Return the name of the cgroup that `parent_of` made `parent` of, empty where it did not."""
    name = parent.removeprefix("/").removesuffix(f"/{_STEP}")
    return name if parent == f"/{name}/{_STEP}" and "/" not in name else ""


def kill(cgroup: RunCgroup) -> frozenset[str]:
    """Kill what a build executes; return the IDs of the containers that it says it is in.

    Blocking; returns before that has an effect. A step can make it say anything. Source: buildah
    writes `/run/.containerenv`.
    """
    containers: set[str] = set()
    for pid in members(cgroup.directories):
        with suppress(OSError):
            text = _read(_PROC / str(pid) / "root/run/.containerenv")
            containers.update(found["id"].decode() for found in _CONTAINER.finditer(text))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return frozenset(containers)


def _read(path: Path) -> bytes:
    """Return the beginning of a file that may have become anything else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _SHORT)
    finally:
        os.close(descriptor)


async def heard_out(
    request: Callable[[], Awaitable[Value]], cgroup: RunCgroup | None, *, seconds: float
) -> Value:
    """Return what `request` for a build returns, and raise what it raises.

    When cancelled, what the build executes is killed, for `seconds` at most, and podman is heard to
    the end; only then is the request given up. Without a cgroup it is given up at once.
    """
    if cgroup is None:
        return await request()
    done = anyio.Event()
    given_up = anyio.CancelScope(shield=True)
    values: list[Value] = []
    errors: list[Exception] = []

    async def make() -> None:
        with given_up:
            try:
                values.append(await request())
            except Exception as error:  # noqa: BLE001 - it is raised below, outside of the group
                errors.append(error)
        done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(make)
        try:
            await done.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(seconds, shield=True):
                while not done.is_set():
                    await to_thread.run_sync(kill, cgroup)
                    with anyio.move_on_after(_PAUSE_SECONDS):
                        await done.wait()
            given_up.cancel()
            raise
    for error in errors:
        raise error
    return values[0]
