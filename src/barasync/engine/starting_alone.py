"""A container that is to outlive its command: started under its policy, seen to work.

Nobody attaches to it: podman's log has its output. What of the environment of a cell needs this
process is not for it: the caller sees to that (`cli.detaching`).
"""

from __future__ import annotations

from contextlib import suppress

import anyio

from barasync.aiopodman import UNHEALTHY, Container, OCIRuntimeError, PodmanError
from barasync.engine.detached import Detachment, without_check
from barasync.engine.ended import Ended
from barasync.engine.enforcement import enforced_for
from barasync.engine.execution import OnStart
from barasync.engine.job import Job, Session
from barasync.engine.phases import Phases
from barasync.engine.ports import where
from barasync.engine.readiness import CommandCheck
from barasync.engine.verdict import Verdict, judge_refused_start
from barasync.matrix.outcome import Status
from barasync.terminal_text import one_line

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
_UNHEALTHY = "is unhealthy"
_LOG_SECONDS = 5.0
_LOG_LINES = 3
_LOG_BYTES = 2048
_CHARACTERS = 400


async def start_alone(
    container: Container,
    job: Job,
    session: Session,
    detachment: Detachment,
    *,
    phases: Phases,
    on_start: OnStart,
) -> Ended:
    """Start a container that was created, and return when it can go on by itself, or has failed.

    The rules of its policy are in force before its first instruction, and stay: they are in its
    network namespace. A container that does not become healthy has failed. Whatever is raised, and
    when cancelled, it is still the place's, which removes it.

    Raises:
        ConfigError: its health is to be waited for, and it has no check.
        NamespaceError: the policy cannot be enforced.
        PodmanError, TimeoutError: podman failed, or did not answer.
    """
    if detachment.wait_seconds is not None:
        await _require_check(container, job)
    async with enforced_for(job, session) as enforcement:
        with phases.measure("start"):
            try:
                async with session.gates.start.passed():
                    await container.init()
                    await enforcement.apply(container)
                    await container.start()
            except OCIRuntimeError as error:
                verdict = judge_refused_start(f"{error.message} {error.cause}", job.command)
                if verdict is None:
                    raise
                return Ended(verdict=verdict)
        await enforcement.confirm()
        on_start(container.id, where(enforcement.published))
    if detachment.wait_seconds is not None:
        with phases.measure("health"):
            problem = await _until_healthy(container, detachment, detachment.wait_seconds)
        if problem is not None:
            verdict = Verdict(status=Status.FAILED, exit_code=None, reason=problem)
            return Ended(verdict=verdict)
    return Ended(verdict=Verdict(status=Status.PASSED, exit_code=None), detached=True)


async def _require_check(container: Container, job: Job) -> None:
    check = (await container.inspect()).config.health_check
    if check is None or not check.checks:
        raise without_check("its health cannot be waited for", job.cell.settings.image)


async def _until_healthy(
    container: Container, detachment: Detachment, seconds: float
) -> str | None:
    """Return `None` once its check has passed, or why that is not waited for any longer."""
    check = CommandCheck(container)
    problem: str | None = f"was not healthy within {seconds:g} s"
    with anyio.move_on_after(seconds) as waiting:
        problem = await _becomes_healthy(container, check, detachment.every)
    if problem is None:
        return None
    if waiting.cancelled_caught or problem == _UNHEALTHY:
        problem = f"{problem}: {await check.said()}"
    printed = await _last_output(container)
    return f"{problem}; it printed last: {printed}" if printed else problem


async def _becomes_healthy(
    container: Container, check: CommandCheck, every: float | None
) -> str | None:
    """Return `None` once it has, or why it will not."""
    pause = _FIRST_PAUSE_SECONDS if every is None else every
    while not await check.passes():
        state = (await container.inspect()).state
        if state.ended:
            return f"ended with exit code {state.exit_code} before it was healthy"
        if every is not None and state.health.status == UNHEALTHY:
            return _UNHEALTHY
        await anyio.sleep(pause)
        if every is None:
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    return None


async def _last_output(container: Container) -> str:
    """Return the last lines of its output on one, empty where podman does not tell within 5 s."""
    kept = b""
    with anyio.move_on_after(_LOG_SECONDS), suppress(PodmanError):
        async with container.logs(tail=_LOG_LINES) as chunks:
            async for chunk in chunks:
                kept = (kept + chunk.data)[-_LOG_BYTES:]
    lines = kept.decode("utf-8", errors="replace").splitlines()
    return one_line(" | ".join(filter(str.strip, lines)), most=_CHARACTERS)
