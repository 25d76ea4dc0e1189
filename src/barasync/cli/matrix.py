"""`barasync matrix`: a rule in every cell."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from msgspec import UNSET, structs

from barasync.cli import options
from barasync.cli.background import Background, goes_on
from barasync.cli.cell_options import RecordedRunOptions, TriedCellOptions, request_of
from barasync.cli.option_groups import with_groups
from barasync.cli.project import Project, find_project
from barasync.cli.reports import parse_reports
from barasync.cli.service_networks import with_networks
from barasync.matrix.listing import COLUMNS, as_data, as_rows
from barasync.matrix.plan import Plan
from barasync.matrix.plan import plan as make_plan
from barasync.report.files import history_file
from barasync.report.terminal import OutputMode

_MATRIX = "Which cells"


@with_groups
def matrix(
    rule: Annotated[str, typer.Argument(help="The rule to run.", show_default=False)],
    args: Annotated[
        list[str] | None,
        typer.Argument(help="Its arguments; with --rule-each more rules.", show_default=False),
    ] = None,
    *,
    arch: Annotated[
        list[str] | None,
        typer.Option("--arch", metavar="A,B", help="Architectures.", rich_help_panel=_MATRIX),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", metavar="C,D", help="Configurations.", rich_help_panel=_MATRIX),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="GLOB", help="Only these.", rich_help_panel=_MATRIX),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="GLOB", help="Not these.", rich_help_panel=_MATRIX),
    ] = None,
    rule_each: Annotated[
        bool,
        typer.Option(
            "--rule-each",
            help="A cell for each rule: all words are rules, without arguments.",
            rich_help_panel=_MATRIX,
        ),
    ] = False,
    repeat: Annotated[
        int | None,
        typer.Option(
            "--repeat",
            metavar="N",
            min=1,
            help="Each cell N times, as cells of their own.",
            rich_help_panel=_MATRIX,
        ),
    ] = None,
    image: options.Image = None,
    define: options.Define = None,
    cell: TriedCellOptions,
    jobs: options.Jobs = None,
    cpus_total: options.CpusTotal = None,
    memory_total: options.MemoryTotal = None,
    fail_fast: Annotated[
        bool,
        typer.Option("--fail-fast/--keep-going", help="Stop at the first cell that fails."),
    ] = False,
    deadline: options.Deadline = None,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Print what would run, and run nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --plan: as JSON.")] = False,
    output: Annotated[
        OutputMode, typer.Option("--output", help="How the run is shown.")
    ] = OutputMode.AUTO,
    background: Background = None,
    asked: RecordedRunOptions,
) -> None:
    """Run RULE in every cell of architecture × configuration, each in a container of its own.

    With --rule-each the words are rules, and each has a cell of its own in every combination.
    """
    project = find_project(Path.cwd(), define)
    project = with_networks(project, cell.network, url=asked.url, environ=os.environ)
    request = request_of(project, cell)
    plan = make_plan(
        replace(
            request,
            rule=rule,
            args=() if rule_each else tuple(args or ()),
            rules=(rule, *(args or ())) if rule_each else (),
            repeat=repeat,
            options=structs.replace(request.options, image=UNSET if image is None else image),
            arch=tuple(arch or ()),
            config=tuple(config or ()),
            select=tuple(select or ()),
            exclude=tuple(exclude or ()),
        )
    )
    for note in plan.notes:
        typer.echo(f"note: {note}", err=True)
    reports = parse_reports(asked.report or (), Path.cwd())
    if plan_only:
        # That they have names is looked at here as well.
        asked.snapshots(plan.cells)
        _print_plan(plan, project, as_json=as_json)
        return
    cores = options.parse_amount("--cpus-total", cpus_total, "cores")
    memory = options.parse_bytes("--memory-total", memory_total)
    seconds = options.parse_amount("--deadline", deadline, "seconds")
    if not goes_on(background, project.directory, plan, asked, os.environ):
        return
    # The engine takes 0.2 s to load; `--help` and `--plan` do without.
    from barasync.cli.execution import Execution, Limits  # noqa: PLC0415 - as said
    from barasync.cli.show import show_matrix  # noqa: PLC0415 - as said

    show_matrix(
        replace(
            Execution.of(plan, project, asked, os.environ),
            limits=Limits(jobs=jobs, cpus_total=cores, memory_total=memory),
            history=history_file(project.directory),
            fail_fast=fail_fast,
            deadline=seconds,
            keep_failed=asked.keep_failed,
            reports=reports,
        ),
        output,
    )


def _print_plan(plan: Plan, project: Project, *, as_json: bool) -> None:
    has_bar = project.has_executable("bar")
    if as_json:
        typer.echo(json.dumps(as_data(plan, has_bar=has_bar), indent=2))
        return
    rows = [COLUMNS, *as_rows(plan, has_bar=has_bar)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
