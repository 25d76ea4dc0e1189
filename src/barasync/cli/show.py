"""How a run of cells, and a run of one container, are shown; and what they end with."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import NoReturn

from barasync.cli.execute import execute
from barasync.cli.execution import Executed, Execution
from barasync.cli.interrupts import Interrupts, finish
from barasync.cli.own_stdin import OwnStdin
from barasync.cli.reader import Reader
from barasync.cli.standard_streams import STDIN, STDOUT, CannotWrite
from barasync.cli.talking import Talking
from barasync.cli.terminal import (
    channels,
    consoles,
    matrix_view,
    passthrough_views,
    ports_views,
)
from barasync.cli.terminals import Here, is_terminal
from barasync.engine.detached import bound_to_command
from barasync.errors import EXIT_INTERRUPTED, EXIT_NOT_PASSED, EXIT_OK
from barasync.masking.masker import Masker
from barasync.matrix.outcome import Outcome, Status
from barasync.report.channel import Channel
from barasync.report.files import OUTPUT_LOG, last_lines
from barasync.report.refusals import refused_names_line
from barasync.report.result import ResultDocument
from barasync.report.summary import TAIL_LINES, needs_tail, summarise, way_into
from barasync.report.terminal import OutputMode

EXIT_TIMED_OUT = 124
EXIT_REFUSED = 125
EXIT_KILLED = 137


def show_matrix(execution: Execution, output: OutputMode) -> NoReturn:
    """Run a plan, show it, and end with its exit code."""
    out, error = channels(execution.environ)

    async def command(interrupts: Interrupts) -> int:
        executed = await execute(
            execution,
            interrupts,
            notify=error.print,
            audience=lambda directory: consoles(
                [matrix_view(output, directory, out, error, execution.environ)],
                trace=error if execution.verbose else None,
            ),
            farewell=partial(_summary, channel=out),
        )
        return _shown(matrix_exit_code(executed), out, error)

    finish(command)


def matrix_exit_code(executed: Executed) -> int:
    """Return what `barasync matrix` ends with.

    No run is a success that left no whole record.
    """
    if executed.result.exit_code == EXIT_OK and not executed.recorded:
        return EXIT_NOT_PASSED
    return executed.result.exit_code


def show_single(execution: Execution, *, stdin: bool = False) -> NoReturn:
    """Run a plan of one cell whose output and exit code become ours, with `stdin` ours its own."""
    out, error = channels(execution.environ)
    (cell,) = execution.plan.cells

    async def command(interrupts: Interrupts) -> int:
        reader = Reader()
        own = OwnStdin(Here(interrupts, out, error), reader)
        executed = await execute(
            replace(execution, stdin=own.pieces if stdin else None, reader=reader),
            interrupts,
            notify=error.print,
            audience=lambda directory: consoles(
                passthrough_views(directory, cell, out, error, reader.is_missed),
                trace=error if execution.verbose else None,
            ),
            farewell=lambda _executed: (),
        )
        outcome = executed.result.outcomes[cell.id]
        told = own.exit_code(outcome) or reader.exit_code(outcome, executed.result)
        for line in _last_words(outcome, executed, left=told is not None):
            error.print(line)
        if outcome.detached is not None:
            out.print(outcome.detached)
        code = single_exit_code(outcome, executed.result.exit_code) if told is None else told
        return _shown(code, out, error)

    finish(command)


def show_shell(execution: Execution, detach_keys: bytes, *, stdin: bool) -> NoReturn:
    """Run a plan of one cell that somebody talks to from here; its exit code becomes ours.

    Without `stdin` nothing is read here.
    """
    out, error = channels(execution.environ)
    (cell,) = execution.plan.cells
    bound = bound_to_command(cell)
    if bound is not None and detach_keys and stdin and is_terminal():
        error.print(f"note: it cannot be detached: {bound}")

    async def command(interrupts: Interrupts) -> int:
        here = Here(interrupts, out, error, STDIN if stdin else None)
        masker = Masker(execution.secrets.values())
        keys = b"" if bound is not None else detach_keys
        talking = Talking(here, keys, execution.environ.get("TERM") or None, masker)
        executed = await execute(
            replace(execution, dialogue=talking.dialogue),
            interrupts,
            notify=error.print,
            audience=lambda _directory: consoles(
                ports_views(cell, error), trace=error if execution.verbose else None
            ),
            farewell=lambda _executed: (),
        )
        outcome = executed.result.outcomes[cell.id]
        for line in _last_words(outcome, executed, asked="run" in outcome.phases):
            error.print(line)
        if outcome.detached is not None:
            error.print(
                f"barasync: {outcome.detached} goes on",
                f"  hint: `barasync container attach {outcome.detached}` gets back to it",
            )
        told = talking.exit_code(outcome)
        return single_exit_code(outcome, executed.result.exit_code) if told is None else told

    finish(command)


def _shown(code: int, out: Channel, error: Channel) -> int:
    """Return the exit code of what was to be shown on stdout: no success where that takes nothing.

    A reader who has left is no such case.
    """
    if out.problem is None:
        return code
    error.print(f"barasync: {CannotWrite.because(STDOUT, out.problem)}")
    return code or EXIT_NOT_PASSED


def single_exit_code(outcome: Outcome, run_exit_code: int) -> int:
    """Return what `barasync run` ends with: the command's own code where it has one.

    Otherwise as podman and coreutils do: 124 for a timeout, 125 where podman refused or keeps
    something of the run, 137 for out of memory. An interruption, a missing image and a lost service
    keep their codes of the contract.
    """
    if run_exit_code == EXIT_INTERRUPTED:
        return EXIT_INTERRUPTED
    match outcome.status:
        case Status.TIMED_OUT:
            return EXIT_TIMED_OUT
        case Status.OUT_OF_MEMORY:
            return EXIT_KILLED
        case Status.PASSED | Status.FAILED if outcome.exit_code:
            return outcome.exit_code
        case Status.PASSED | Status.INFRASTRUCTURE_ERROR | Status.LEAKED if (
            run_exit_code == EXIT_NOT_PASSED
        ):
            return EXIT_REFUSED
        case _:
            return run_exit_code


def _last_words(
    outcome: Outcome, executed: Executed, *, asked: bool = False, left: bool = False
) -> tuple[str, ...]:
    """Say what the command could not say itself; nothing where it simply ended.

    A shell that was asked something ends with the exit code of that, whatever it is. Where it was
    `left` by whoever was here, that is no news.
    """
    lines: list[str] = []
    unclear = {None} if asked else {None, 126, 127}
    by_itself = outcome.status is Status.FAILED and outcome.exit_code not in unclear
    if not (outcome.passed or by_itself or left):
        lines.append(f"barasync: {outcome.reason}")
        if outcome.hint:
            lines.append(f"  hint: {outcome.hint}")
    refused = [refused_names_line(outcome.refused_names)] if outcome.refused_names else []
    refused += filter(None, (outcome.refused_note,))
    notes = [
        *_of_snapshot(outcome, executed.document),
        *outcome.warnings,
        *refused,
        *executed.problems,
    ]
    # What ended the run is most often what became of its only cell.
    if executed.result.problem not in {None, outcome.reason} and not left:
        notes.append(executed.result.problem)
    lines += [f"barasync: {note}" for note in notes]
    return tuple(lines)


def _of_snapshot(outcome: Outcome, document: ResultDocument) -> tuple[str, ...]:
    snapshot = outcome.snapshot
    if snapshot is None:
        return ()
    way_in = way_into(document.run, document.cells[0].id, snapshot)
    if way_in is not None:
        return (f"kept: {way_in}",)
    if snapshot.kept:
        return (f"not kept: {snapshot.problem}",)
    if snapshot.image is not None:
        return (f"snapshot {snapshot.name}: {snapshot.image}",)
    told = outcome.status is Status.SNAPSHOT_FAILED
    return () if told else (f"no snapshot {snapshot.name}: {snapshot.problem}",)


def _summary(executed: Executed, *, channel: Channel) -> tuple[str, ...]:
    document = executed.document
    tails = {
        cell.id: last_lines(executed.directory.logs(cell.id, cell.attempt) / OUTPUT_LOG, TAIL_LINES)
        for cell in document.cells
        if needs_tail(cell)
    }
    lines = summarise(
        document,
        record=os.path.relpath(executed.directory.path),
        artifacts=os.path.relpath(executed.artifacts),
        tails=tails,
        style=channel.style,
        problems=executed.problems,
    )
    return tuple(lines)
