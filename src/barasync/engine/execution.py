"""A container that was created, until it has ended: under its network policy, attached, drained."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from barasync.aiopodman import Container, OCIRuntimeError
from barasync.engine.conversation import Conversation
from barasync.engine.dialogue import without_shell
from barasync.engine.drain import Drain, Sink
from barasync.engine.ended import Ended
from barasync.engine.ending import NoVerdict
from barasync.engine.enforcement import Enforcement, enforced_for
from barasync.engine.job import Job, Session
from barasync.engine.phases import Phases
from barasync.engine.ports import where
from barasync.engine.verdict import Verdict, judge_refused_start
from barasync.matrix.outcome import Status

OnStart = Callable[[str, Mapping[str, tuple[str, ...]]], None]
"""Hears of a container whose command runs: its ID, and where its ports are on the host."""


async def execute(
    container: Container,
    job: Job,
    session: Session,
    log: Sink,
    *,
    phases: Phases,
    on_start: OnStart,
    joins: Enforcement | None,
) -> Ended:
    """Run a container with the network policy of its cell in force, and say how it ended.

    `joins` are the rules of the namespace that it shares with services. When cancelled it is ended
    as at its deadline, within its grace.

    Raises:
        NamespaceError: the policy cannot be enforced.
        PodmanError, TimeoutError: podman failed, or did not bring it to its end.
    """
    async with enforced_for(job, session, joins=joins) as enforcement:

        async def enforce() -> None:
            await enforcement.apply(container)

        async def started() -> None:
            await enforcement.confirm()
            on_start(container.id, where(enforcement.published))

        drain = _drain(container, job, session, log, enforce)
        ended = await _run(job, drain, phases, started)
        if isinstance(drain, Conversation):
            ended = replace(ended, detached=drain.detached)
        return await enforcement.settle(ended)


async def _run(
    job: Job, drain: Drain, phases: Phases, on_start: Callable[[], Awaitable[None]]
) -> Ended:
    """Attach, start, drain, and read the state the container ended in."""
    try:
        async with AsyncExitStack() as stack:
            with phases.measure("start"):
                await drain.start(stack)
            await on_start()
            with phases.measure("run"):
                state = await drain.run()
    except OCIRuntimeError as error:
        verdict = judge_refused_start(f"{error.message} {error.cause}", job.command)
        if verdict is None:
            raise
        if isinstance(drain, Conversation) and not job.command:
            verdict = without_shell(job.cell.settings.image, verdict)
        return Ended(verdict=verdict)
    except NoVerdict as error:
        return Ended(
            verdict=Verdict(status=Status.INFRASTRUCTURE_ERROR, exit_code=None, reason=str(error)),
            output_problem=drain.problem,
            output_recovered=drain.recovered and drain.problem is None,
        )
    return Ended(
        state=state,
        deadline_hit=drain.deadline_hit,
        terminated=drain.terminated,
        seconds=drain.seconds,
        output_problem=drain.problem,
        output_doubt=drain.doubt,
        output_recovered=drain.recovered and drain.problem is None,
    )


def _drain(
    container: Container,
    job: Job,
    session: Session,
    log: Sink,
    before_start: Callable[[], Awaitable[None]],
) -> Drain:
    settings = job.cell.settings
    make = (
        partial(Drain, stdin=session.stdin)
        if session.dialogue is None
        else partial(Conversation, session.dialogue)
    )
    return make(
        session.podman,
        container,
        log,
        timeout=settings.timeout,
        grace=settings.stop_grace,
        gate=session.gates.start,
        hurry=session.hurry,
        before_start=before_start,
    )
