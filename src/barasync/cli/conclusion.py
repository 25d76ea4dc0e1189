"""What is written when a run has ended: its result, reports, and how long its cells took."""

from __future__ import annotations

from collections.abc import Iterable

from anyio import to_thread

from barasync.cli.execution import Executed, Execution
from barasync.cli.reports import Report, write_report
from barasync.engine.history import Ended, remember
from barasync.engine.run import RunResult
from barasync.report.files import RunDirectory
from barasync.report.recorder import Recorder
from barasync.report.result import ResultDocument, write_result


async def conclude(
    execution: Execution,
    result: RunResult,
    recorder: Recorder,
    directory: RunDirectory,
) -> Executed:
    """Write down what has come of a run, its reports too, and remember how long its cells took.

    What cannot be written is among the problems of what is returned.
    """
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
