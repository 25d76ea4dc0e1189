"""`barasync run`: one container whose output and exit code are ours."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from barasync.cli import detaching, options
from barasync.cli.background import Background, Waiter, goes_on
from barasync.cli.cell_options import RecordedRunOptions, TriedCellOptions, request_of_one
from barasync.cli.option_groups import with_groups
from barasync.cli.project import find_project
from barasync.cli.reports import parse_reports
from barasync.cli.service_networks import with_networks
from barasync.config.copies import parse_copies
from barasync.errors import ConfigError
from barasync.matrix.command import Reading
from barasync.matrix.plan import Plan, plan_run


@with_groups
def run(
    image: Annotated[
        str,
        typer.Argument(
            help="A declared image or a reference; - for that of the settings.", show_default=False
        ),
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(help="What to execute; after --.", show_default=False),
    ] = None,
    *,
    arch: options.OneArch = None,
    config: options.OneConfig = None,
    define: options.Define = None,
    as_: Annotated[
        Reading | None,
        typer.Option(
            "--as",
            help="What COMMAND is: a command, as without it; a rule and its arguments; auto, a rule"
            " unless the image has a program of that name.",
        ),
    ] = None,
    stdin: Annotated[
        bool,
        typer.Option("--stdin", "-i", help="Let the command read our stdin, to its end."),
    ] = False,
    cell: TriedCellOptions,
    copy: options.Copy = None,
    detached: detaching.Asked,
    background: Background = None,
    waiter: Waiter = None,
    asked: RecordedRunOptions,
) -> None:
    """Run COMMAND in one container; its output is ours, its exit code is ours.

    Outside a project (no barasync.toml upwards of here) the working directory stays outside of the
    container, unless --as is given or --workspace says otherwise.

    With --stdin the command reads what comes here; else its stdin is at its end.

    With --detach the container goes on after the command has ended, under the name that it prints:
    `barasync container` has what shows and ends it.
    """
    detachment = detaching.detachment_of(detached)
    if stdin:
        _require_read_here(cell, detach=detached.detach, background=background is not None)
    copies = parse_copies(copy or ())
    project = find_project(Path.cwd(), define)
    project = with_networks(project, cell.network, url=asked.url, environ=os.environ)
    request = request_of_one(project, cell, arch=arch, config=config, needs_files=as_ is not None)
    plan = plan_run(request, image, tuple(command or ()), as_ or Reading.COMMAND)
    if detachment is not None:
        plan = detaching.detached_plan(
            plan,
            {
                "--artifact": cell.artifact is not None,
                "--artifacts-dir": asked.artifacts_dir is not None,
                "--snapshot": asked.snapshot is not None,
                "--keep-failed": asked.keep_failed,
                "--background": background is not None,
                "--stop-grace": cell.stop_grace is not None,
            },
        )
    if stdin:
        plan = _tried_once(plan)
    for note in plan.notes:
        typer.echo(f"note: {note}", err=True)
    reports = parse_reports(asked.report or (), Path.cwd())
    if not goes_on(background, project.directory, plan, asked, os.environ, waiter=waiter):
        return
    # The engine takes 0.2 s to load; `--help` does without.
    from barasync.cli.execution import Execution, Limits  # noqa: PLC0415 - as said
    from barasync.cli.show import show_single  # noqa: PLC0415 - as said

    show_single(
        replace(
            Execution.of(plan, project, asked, os.environ),
            limits=Limits(jobs=1),
            keep_failed=asked.keep_failed,
            reports=reports,
            copies=copies,
            detachment=detachment,
        ),
        stdin=stdin,
    )


def _require_read_here(cell: TriedCellOptions, *, detach: bool, background: bool) -> None:
    """Refuse a stdin that nobody would be here to read, or that would have to be read again."""
    nobody = "nobody reads here for what goes on without us"
    for option, given, reason in (
        ("--detach", detach, nobody),
        ("--background", background, nobody),
        ("--retries", bool(cell.retries), "what one attempt has read is gone for the next"),
    ):
        if given:
            raise ConfigError(
                f"--stdin cannot be had with {option}: {reason}",
                hint="put what is to be read into a file, and give that with --copy",
            )


def _tried_once(plan: Plan) -> Plan:
    """Return the plan without what the project says of other attempts."""
    cells = tuple(replace(cell, settings=replace(cell.settings, retries=0)) for cell in plan.cells)
    as_command = None if plan.as_command is None else _tried_once(plan.as_command)
    return replace(plan, cells=cells, as_command=as_command)
