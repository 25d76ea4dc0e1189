"""Running a program of an architecture in a container of a podman service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import anyio

from barasync.aiopodman import (
    APIError,
    Container,
    ContainerSpec,
    Podman,
    Rlimit,
    temporary,
)
from barasync.errors import EngineUnavailable
from barasync.images.elf import EXIT_CODE, executable
from barasync.images.program import Program, program_image
from barasync.matrix.platforms import Platform

_RUN_SECONDS = 30
_SECONDS_OF_GRACE = 5
_MAX_OUTPUT_BYTES = 4096
_MILLISECONDS = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Whether a service runs programs of a platform.

    `reason` says why not, empty where it does. `milliseconds` passed between starting the container
    and its end, `None` where it did not start.
    """

    platform: Platform
    works: bool
    reason: str = ""
    milliseconds: float | None = None


async def check(
    podman: Podman,
    platforms: Iterable[Platform],
    *,
    labels: Mapping[str, str] = MappingProxyType({}),
    rlimits: tuple[Rlimit, ...] = (),
) -> tuple[Check, ...]:
    """Run a tiny program of every platform in a container of the service, one after the other.

    `labels` are put on the containers, `rlimits` are those that they need on a host whose hard
    limits are below podman's defaults. Left behind: an image of some hundred bytes per platform,
    `localhost/barasync/probe:<arch>`, for the next time. When cancelled, the container is removed
    all the same.

    Raises:
        PodmanError: the service cannot be reached, or cannot make images or containers at all.
    """
    return tuple([await _check(podman, platform, labels, rlimits) for platform in platforms])


async def require_there(
    podman: Podman,
    platforms: Iterable[Platform],
    *,
    labels: Mapping[str, str] = MappingProxyType({}),
    rlimits: tuple[Rlimit, ...] = (),
) -> None:
    """Make sure that the service runs programs of every platform, by running one of each.

    For a service on another machine: `survey.require` can only tell about this one.

    Raises:
        EngineUnavailable: it does not; the message names the platforms and the reasons.
        PodmanError: as `check`.
    """
    checks = await check(podman, platforms, labels=labels, rlimits=rlimits)
    lacking = [one for one in checks if not one.works]
    if lacking:
        listed = ", ".join(f"{one.platform} ({one.reason})" for one in lacking)
        raise EngineUnavailable(
            f"the podman service cannot run {listed}",
            hint="run `barasync arch setup` on its machine, or choose other architectures",
        )


async def _check(
    podman: Podman, platform: Platform, labels: Mapping[str, str], rlimits: tuple[Rlimit, ...]
) -> Check:
    program = Program(kind="probe", platform=platform, content=executable(platform))
    spec = ContainerSpec(
        image=await program_image(podman, program),
        command=(program.path,),
        labels={**labels, "barasync.kind": "probe"},
        network="none",
        timeout=_RUN_SECONDS + _SECONDS_OF_GRACE,
        rlimits=rlimits,
    )
    async with temporary(podman.containers, spec) as container:
        started = anyio.current_time()
        try:
            with anyio.fail_after(_RUN_SECONDS):
                code, output = await _run(container)
        except APIError as error:
            reason = explain(platform, None, error.message or error.cause)
            return Check(platform=platform, works=False, reason=reason)
        except TimeoutError:
            reason = f"a program of three instructions did not end within {_RUN_SECONDS} seconds"
            return Check(platform=platform, works=False, reason=reason)
        took = (anyio.current_time() - started) * _MILLISECONDS
    works = code == EXIT_CODE
    reason = "" if works else explain(platform, code, output)
    return Check(platform=platform, works=works, reason=reason, milliseconds=took)


def explain(platform: Platform, code: int | None, output: str) -> str:
    """Return why a probe failed, from its exit code and what it or the OCI runtime printed.

    crun reports a program that the kernel cannot execute as output of the container, with exit
    code 1; runc refuses to start it.
    """
    if "exec format error" in output.lower():
        return f"the machine of the podman service has no emulator for {platform}"
    said = " ".join(output.split())
    if code is None:
        return f"podman could not start the container: {said}"
    ended = f"the program ended with {code} and not with {EXIT_CODE}"
    return f"{ended}: {said}" if said else ended


async def _run(container: Container) -> tuple[int, str]:
    """Return the exit code and the beginning of the output."""
    output = bytearray()
    async with container.start_attached() as chunks:
        async for chunk in chunks:
            output += chunk.data[: _MAX_OUTPUT_BYTES - len(output)]
    code = await container.wait()
    return code, output.decode("utf-8", errors="replace")
