"""A plan carried out: podman, the record, the console, and the run between them."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from barasync import __version__
from barasync.aiopodman import Reference
from barasync.cli.artifacts_root import artifacts_root
from barasync.cli.cell_options import RunOptions
from barasync.cli.cleaning import note_on_dead_runs, prune_automatically, sweep_host
from barasync.cli.connect import Connection, connect
from barasync.cli.directories import use_files
from barasync.cli.emulation import require_emulators
from barasync.cli.enforcement import require_programs
from barasync.cli.interrupts import Interrupts
from barasync.cli.preparation import (
    Files,
    preparation,
    read_files,
    require_shared_directory,
)
from barasync.cli.project import Project
from barasync.cli.reader import Reader
from barasync.cli.reports import Report, write_report
from barasync.cli.secrets import read_secrets, secret_notes
from barasync.config.copies import Copy
from barasync.engine.admission import capacity, tasks
from barasync.engine.detached import Detachment
from barasync.engine.dialogue import Dialogue
from barasync.engine.feeding import OpenStdin
from barasync.engine.history import Ended, History, read_history, remember
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
from barasync.images.kept import NeededImage, require_kept
from barasync.images.proxies import proxies_of
from barasync.images.registry import Registries
from barasync.images.snapshot import require_free
from barasync.masking.masker import Masker
from barasync.masking.value import SecretValue
from barasync.matrix.plan import Plan
from barasync.matrix.platforms import parse
from barasync.report.console import Consoles
from barasync.report.files import RunDirectory
from barasync.report.jsonl import EventLog
from barasync.report.recorder import Recorder
from barasync.report.result import ResultDocument, write_result
from barasync.workspace.copies import CopySource

# For an audience that reads, but not for one that stands still.
_HURRIED_SECONDS = 2.0
# Of a run that went its way, room is made for the next ones.
_UNDISTURBED = frozenset({EXIT_OK, EXIT_NOT_PASSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What all cells may take together, as far as that was said; memory in bytes."""

    jobs: int | None = None
    cpus_total: float | None = None
    memory_total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a plan is to be carried out; the command line's side of a run.

    `history` is the file that remembers how long cells took, `None` for a run that is not to be
    remembered. `secrets` are the values of the plan's secrets, by source.
    `check_elf` compares the shells of images with their platforms. `copies` go to every cell.
    `snapshots` are the names of the images to be made of cells, by ID, and with `keep_failed` one
    is made of each other cell that fails; `reports` are written when the run has ended.
    `needed` are images that have to be there. `detachment` says how containers are to go on after
    it, if they are. With a `dialogue` it is a shell, whose output is not recorded; `stdin` is what
    the command of a single cell reads, and `reader` who reads what it prints: the run is ended when
    they have left.
    """

    plan: Plan
    project: Project
    url: str | None
    artifacts: Path | None
    environ: Mapping[str, str]
    registries: Registries
    secrets: Mapping[str, SecretValue]
    verbose: bool
    check_elf: bool = False
    limits: Limits = Limits()
    fail_fast: bool = False
    history: Path | None = None
    deadline: float | None = None
    copies: tuple[Copy, ...] = ()
    snapshots: Mapping[str, Reference] = field(default_factory=dict)
    keep_failed: bool = False
    reports: tuple[Report, ...] = ()
    needed: tuple[NeededImage, ...] = ()
    detachment: Detachment | None = None
    dialogue: Dialogue | None = None
    stdin: OpenStdin | None = None
    reader: Reader | None = None

    @classmethod
    def of(
        cls, plan: Plan, project: Project, asked: RunOptions, environ: Mapping[str, str]
    ) -> Execution:
        """Return how a plan is carried out that is asked for with these options and no others.

        Raises:
            ConfigError: `--snapshot` is no name for an image, or a secret cannot be read.
        """
        return cls(
            plan=plan,
            project=project,
            url=asked.url,
            artifacts=None if asked.artifacts_dir is None else asked.artifacts_dir.absolute(),
            snapshots=asked.snapshots(plan.cells),
            environ=environ,
            registries=Registries(environ=environ, pull=asked.pull, insecure=asked.insecure),
            check_elf=asked.check_elf,
            secrets=read_secrets(plan, environ),
            verbose=asked.verbose,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A run that has ended, and its record.

    `problems` are sentences on what could not be written or pruned; without `recorded` some of
    that was the record or a log.
    """

    result: RunResult
    document: ResultDocument
    directory: RunDirectory
    artifacts: Path
    problems: tuple[str, ...]
    recorded: bool


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
        async with anyio.create_task_group() as group:
            group.start_soon(sweep_host, execution.environ, identity)
            group.start_soon(_tell_of_dead_runs, connection, identity, notify)
            await require_shared_directory(execution.plan, execution.project.directory, connection)
            for note in secret_notes(execution.plan, execution.secrets, connection.podman.version):
                notify(note)
            for name in execution.snapshots.values():
                await require_free(connection.podman, name)
            for needed in execution.needed:
                await require_kept(connection.podman, needed)
            await require_programs(execution.plan)
            if connection.local:
                await to_thread.run_sync(require_ports, execution.plan.policies)
            platforms = [cell.platform for cell in execution.plan.cells]
            await require_emulators(platforms, connection, identity)
        directory = await to_thread.run_sync(_make_directory, execution)
        console = audience(directory)
        left: list[str] = []
        try:
            place = execution.artifacts or directory.artifacts
            with EventLog(directory.events) as events:
                async with (
                    artifacts_root(place, execution.plan.cells) as root,
                    using(use_files(), directory.run, clock=time.time) as uses,
                    console,
                ):
                    recorder = Recorder(directory, events, console, artifacts=root)
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
                            executed = await _conclude(execution, result, recorder, directory)
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


async def _conclude(
    execution: Execution,
    result: RunResult,
    recorder: Recorder,
    directory: RunDirectory,
) -> Executed:
    document = recorder.document()
    problems = recorder.problems
    try:
        await to_thread.run_sync(write_result, directory.result, document)
    except OSError as error:
        problems += (f"the result could not be written: {error}",)
    problems += await _report(execution.reports, document, directory)
    recorded = not problems
    problems += await _remember(execution, document)
    return Executed(
        result=result,
        document=document,
        directory=directory,
        artifacts=execution.artifacts or directory.artifacts,
        problems=problems,
        recorded=recorded,
    )


async def _report(
    reports: Iterable[Report], document: ResultDocument, directory: RunDirectory
) -> tuple[str, ...]:
    problems: list[str] = []
    for report in reports:
        try:
            await to_thread.run_sync(write_report, report, document, directory)
        except OSError as error:
            problems.append(f"the report {report.path} could not be written: {error}")
    return tuple(problems)


async def _remember(execution: Execution, document: ResultDocument) -> tuple[str, ...]:
    """Remember how long cells took; nothing but the order of the next run depends on it."""
    if execution.history is None:
        return ()
    kin = {cell.id: cell.matrix_id for cell in execution.plan.cells}
    ended = [
        Ended.of(cell.rule or document.rule, kin[cell.id], cell.status, cell.seconds, cell.phases)
        for cell in document.cells
        if cell.status is not None and cell.seconds is not None and cell.attempt
    ]
    try:
        await to_thread.run_sync(remember, execution.history, ended)
    except OSError as error:
        return (f"how long the cells took could not be remembered: {error}",)
    return ()


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
