"""A plan carried out: podman, the record, the console, and the run between them."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial

import anyio
from anyio import to_thread

from barasync import __version__
from barasync.cli.artifacts_root import artifacts_root
from barasync.cli.cleaning import note_on_dead_runs, prune_automatically, sweep_host
from barasync.cli.conclusion import conclude
from barasync.cli.connect import Connection, connect
from barasync.cli.directories import use_files
from barasync.cli.emulation import require_emulators
from barasync.cli.enforcement import require_programs
from barasync.cli.execution import Executed, Execution
from barasync.cli.interrupts import Interrupts
from barasync.cli.preparation import (
    Files,
    preparation,
    read_files,
    require_shared_directory,
)
from barasync.cli.secrets import secret_notes
from barasync.engine.admission import capacity, tasks
from barasync.engine.history import History, read_history
from barasync.engine.identity import Identity
from barasync.engine.image_uses import Uses, using
from barasync.engine.job import Session
from barasync.engine.memory import read_shortage
from barasync.engine.ports import require_ports
from barasync.engine.run import Run, RunResult
from barasync.engine.sampler import Sampler
from barasync.engine.scheduler import Scheduler
from barasync.engine.secrets import made_secrets
from barasync.engine.usage import RunCgroup
from barasync.errors import EXIT_NOT_PASSED, EXIT_OK
from barasync.events import PlannedCell, RunStarted
from barasync.images.kept import require_kept
from barasync.images.proxies import proxies_of
from barasync.images.snapshot import require_free
from barasync.masking.masker import Masker
from barasync.matrix.platforms import parse
from barasync.report.console import Consoles
from barasync.report.files import RunDirectory
from barasync.report.jsonl import EventLog
from barasync.report.recorder import Recorder
from barasync.workspace.copies import CopySource

# For an audience that reads, but not for one that stands still.
_HURRIED_SECONDS = 2.0
# Of a run that went its way, room is made for the next ones.
_UNDISTURBED = frozenset({EXIT_OK, EXIT_NOT_PASSED})


Audience = Callable[[RunDirectory], Consoles]
Farewell = Callable[[Executed], tuple[str, ...]]


async def execute(
    execution: Execution,
    interrupts: Interrupts,
    *,
    notify: Callable[[str], None],
    audience: Audience,
    farewell: Farewell,
) -> Executed:
    """Carry out a plan and show it to the audience that is made for its directory.

    `farewell` gives the last lines to show once nothing of the run is left. The first signal stops
    the run in order; from the second on the audience is not waited for, and not for long when the
    first comes after the run.
    """
    files = await read_files(
        execution.plan,
        execution.project,
        execution.copies,
        home=execution.environ.get("HOME"),
        notify=notify,
    )
    async with connect(execution.url, execution.environ, notify=notify) as connection:
        identity = await to_thread.run_sync(Identity.current)
        await _require_possible(execution, connection, identity, notify)
        directory = await to_thread.run_sync(_make_directory, execution)
        console = audience(directory)
        left: list[str] = []
        try:
            async with _recorded(execution, directory, console) as (recorder, uses):
                result = await _run(
                    execution,
                    connection,
                    recorder,
                    files,
                    interrupts,
                    identity=identity,
                    uses=uses,
                    left=left,
                )
                # A run that has ended keeps its record and its exit code, whatever comes now.
                with _until_signal(interrupts) as closing:
                    with anyio.CancelScope(shield=True):
                        executed = await conclude(execution, result, recorder, directory)
                    if result.exit_code in _UNDISTURBED:
                        problems = uses.problems + await prune_automatically(
                            connection, identity, run=recorder.run, now=time.time()
                        )
                        executed = replace(executed, problems=executed.problems + problems)
                patience = _HURRIED_SECONDS if closing.cancel_called else math.inf
                await _finish(console, farewell(executed), interrupts, patience)
        except BaseException:
            for problem in left:
                notify(problem)
            raise
    return executed


async def _require_possible(
    execution: Execution,
    connection: Connection,
    identity: Identity,
    notify: Callable[[str], None],
) -> None:
    """Refuse what this machine and its podman cannot do, before anything of the run is made.

    Meanwhile what dead runs have left on the host goes, and what they left in podman is told.
    """
    plan = execution.plan
    async with anyio.create_task_group() as group:
        group.start_soon(sweep_host, execution.environ, identity)
        group.start_soon(_tell_of_dead_runs, connection, identity, notify)
        await require_shared_directory(plan, execution.project.directory, connection)
        for note in secret_notes(plan, execution.secrets, connection.podman.version):
            notify(note)
        for name in execution.snapshots.values():
            await require_free(connection.podman, name)
        for needed in execution.needed:
            await require_kept(connection.podman, needed)
        await require_programs(plan)
        if connection.local:
            await to_thread.run_sync(require_ports, plan.policies)
        platforms = [cell.platform for cell in plan.cells]
        await require_emulators(platforms, connection, identity)


@asynccontextmanager
async def _recorded(
    execution: Execution, directory: RunDirectory, console: Consoles
) -> AsyncIterator[tuple[Recorder, Uses]]:
    """Give what records the run in its directory, and what keeps its images."""
    place = execution.artifacts or directory.artifacts
    with EventLog(directory.events) as events:
        async with (
            artifacts_root(place, execution.plan.cells) as root,
            using(use_files(), directory.run, clock=time.time) as uses,
            console,
        ):
            yield Recorder(directory, events, console, artifacts=root), uses


async def _run(
    execution: Execution,
    connection: Connection,
    recorder: Recorder,
    files: Files,
    interrupts: Interrupts,
    *,
    identity: Identity,
    uses: Uses,
    left: list[str],
) -> RunResult:
    """Run the plan with its secrets in place.

    Those that are left are the result's problem; where there is no result, they are in `left`.
    """
    masker = Masker(execution.secrets.values())
    session = _session(execution, connection, recorder.run, identity, files.copies)
    async with AsyncExitStack() as stack:
        making = made_secrets(
            connection.podman,
            recorder.run,
            labels=session.labels,
            values=execution.secrets,
            complain=left.append,
        )
        secrets = await stack.enter_async_context(making)
        prepare = preparation(
            execution.project,
            connection,
            recorder,
            files.source,
            identity,
            environ=execution.environ,
            registries=execution.registries,
            masker=masker,
            uses=uses,
            check_elf=execution.check_elf,
        )
        run = Run(
            execution.plan,
            replace(session, secrets=secrets, masker=masker),
            prepare,
            recorder,
            scheduler=await _scheduler(execution, connection),
            fail_fast=execution.fail_fast,
            deadline=execution.deadline,
            wall_clock=time.time,
        )
        recorder.emit(_started(execution, connection, recorder, masker))
        with (
            interrupts.handled_by(lambda _count: run.interrupt()),
            nullcontext() if execution.reader is None else execution.reader.ends(run.stop),
        ):
            return await run.execute(partial(_remove_secrets, stack, left))


async def _remove_secrets(made: AsyncExitStack, left: list[str]) -> tuple[str, ...]:
    await made.aclose()
    told = tuple(left)
    left.clear()
    return told


def _session(
    execution: Execution,
    connection: Connection,
    run_id: str,
    identity: Identity,
    copies: tuple[CopySource, ...],
) -> Session:
    cgroups = connection.cgroups
    return Session(
        podman=connection.podman,
        run=run_id,
        labels=identity.labels(run_id),
        project=execution.project.directory,
        cgroup=None if cgroups is None else RunCgroup(cgroups, identity.cgroup(run_id)),
        rlimits=connection.rlimits,
        proxies=proxies_of(execution.environ),
        copies=copies,
        snapshots=execution.snapshots,
        keep_failed=execution.keep_failed,
        clock=time.monotonic,
        look_at_memory=read_shortage if connection.local else None,
        sampler=Sampler(connection.podman) if cgroups is None else None,
        host=connection.pid or 1,
        gateways_here=connection.rootful,
        detachment=execution.detachment,
        dialogue=execution.dialogue,
        stdin=execution.stdin,
    )


async def _scheduler(execution: Execution, connection: Connection) -> Scheduler:
    """Put what is known of the cells and of the host of the service together."""
    history = History()
    if execution.history is not None:
        history = await to_thread.run_sync(read_history, execution.history)
    host, limits = connection.host, execution.limits
    return Scheduler(
        tasks(execution.plan, history, native=parse(host.arch), fail_fast=execution.fail_fast),
        capacity(
            host_cpus=host.cpus,
            host_memory_bytes=host.mem_total,
            jobs=limits.jobs,
            cpus_total=limits.cpus_total,
            memory_total_bytes=limits.memory_total,
        ),
    )


async def _tell_of_dead_runs(
    connection: Connection, identity: Identity, notify: Callable[[str], None]
) -> None:
    if (note := await note_on_dead_runs(connection, identity)) is not None:
        notify(note)


def _make_directory(execution: Execution) -> RunDirectory:
    shell = execution.dialogue is not None
    make = RunDirectory.create_for_shell if shell else RunDirectory.create
    now = datetime.now().astimezone()
    return make(execution.project.directory, now=now, token=secrets.token_hex)


def _started(
    execution: Execution, connection: Connection, recorder: Recorder, masker: Masker
) -> RunStarted:
    return RunStarted(
        at=time.time(),
        run=recorder.run,
        directory=str(recorder.path),
        project=str(execution.project.directory),
        rule=masker.text((execution.plan.as_command or execution.plan).rule),
        barasync=__version__,
        podman=str(connection.podman.version),
        endpoint=str(connection.endpoint),
        cells=tuple(
            PlannedCell(
                id=cell.id,
                platform=str(cell.platform),
                config=cell.config,
                image=cell.settings.image,
                rule=None if cell.rule is None else masker.text(cell.rule),
                repetition=cell.repetition,
            )
            for cell in execution.plan.cells
        ),
    )


async def _finish(
    console: Consoles, lines: tuple[str, ...], interrupts: Interrupts, patience: float
) -> None:
    """Let the console catch up, for `patience` seconds or until a signal says that it is enough."""
    with _until_signal(interrupts) as scope:
        scope.deadline = anyio.current_time() + patience
        if interrupts.count > 1:
            scope.cancel()
        await console.finish(lines)


@contextmanager
def _until_signal(interrupts: Interrupts) -> Iterator[anyio.CancelScope]:
    """Give up what is done in the block when a signal comes, and nothing else."""
    with anyio.CancelScope() as scope, interrupts.handled_by(lambda _count: scope.cancel()):
        yield scope
