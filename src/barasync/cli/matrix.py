"""`barasync matrix`: a rule in every cell."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Annotated

import typer

from barasync.cli import options
from barasync.cli.project import Project, find_project
from barasync.cli.reports import parse_reports
from barasync.images.freshness import Freshness
from barasync.matrix.listing import COLUMNS, as_data, as_rows
from barasync.matrix.plan import Plan, Request
from barasync.matrix.plan import plan as make_plan
from barasync.matrix.platforms import native
from barasync.report.files import history_file
from barasync.report.terminal import OutputMode

_MATRIX = "Which cells"


def matrix(
    rule: Annotated[str, typer.Argument(help="The rule to run.", show_default=False)],
    args: Annotated[
        list[str] | None, typer.Argument(help="Its arguments.", show_default=False)
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
    image: options.Image = None,
    timeout: options.Timeout = None,
    memory: options.Memory = None,
    cpus: options.Cpus = None,
    pids: options.Pids = None,
    network: options.Network = None,
    allow_host_network: options.AllowHostNetwork = False,
    cap_add: options.CapAdd = None,
    env: options.Env = None,
    secret: options.Secret = None,
    volume: options.Volume = None,
    cache: options.Cache = None,
    workspace: options.Workspace = None,
    artifact: options.Artifact = None,
    artifacts_on: options.ArtifactsWhen = None,
    artifacts_size: options.ArtifactsSize = None,
    artifacts_files: options.ArtifactsFiles = None,
    artifacts_timeout: options.ArtifactsTimeout = None,
    stop_grace: options.StopGrace = None,
    retries: options.Retries = None,
    retry_on: options.RetriesOn = None,
    artifacts_dir: options.ArtifactsDir = None,
    report: options.Report = None,
    snapshot: options.Snapshot = None,
    keep_failed: options.KeepFailed = False,
    pull: options.Pull = Freshness.MISSING,
    insecure: options.Insecure = False,
    check_elf: options.CheckElf = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Cells at once; by default as many as the CPUs and the memory allow.",
        ),
    ] = None,
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
    url: options.Url = None,
    verbose: options.Verbose = False,
) -> None:
    """Run RULE in every cell of architecture × configuration, each in a container of its own."""
    project = find_project(Path.cwd())
    plan = make_plan(
        Request(
            native=native(platform.machine()),
            rule=rule,
            args=tuple(args or ()),
            document=project.document,
            origin=project.origin,
            options=options.cell_table(
                image=image,
                timeout=timeout,
                memory=memory,
                cpus=cpus,
                pids=pids,
                network=network,
                cap_add=cap_add,
                env=env,
                secret=secret,
                volume=volume,
                cache=cache,
                workspace=workspace,
                artifact=artifact,
                artifacts_on=artifacts_on,
                artifacts_size=artifacts_size,
                artifacts_files=artifacts_files,
                artifacts_timeout=artifacts_timeout,
                stop_grace=stop_grace,
                retries=retries,
                retry_on=retry_on,
            ),
            directory=Path.cwd(),
            environ=os.environ,
            allow_host_network=allow_host_network,
            arch=tuple(arch or ()),
            config=tuple(config or ()),
            select=tuple(select or ()),
            exclude=tuple(exclude or ()),
        )
    )
    for note in plan.notes:
        typer.echo(f"note: {note}", err=True)
    snapshots = options.snapshot_names(snapshot, plan.cells)
    reports = parse_reports(report or (), Path.cwd())
    if plan_only:
        _print_plan(plan, project, as_json=as_json)
        return
    # The engine takes 0.2 s to load; `--help` and `--plan` do without.
    from barasync.cli.execute import Execution, Limits  # noqa: PLC0415 - as said
    from barasync.cli.secrets import read_secrets  # noqa: PLC0415 - as said
    from barasync.cli.show import show_matrix  # noqa: PLC0415 - as said
    from barasync.images.registry import Registries  # noqa: PLC0415 - as said

    show_matrix(
        Execution(
            plan=plan,
            project=project,
            url=url,
            limits=Limits(
                jobs=jobs,
                cpus_total=options.parse_amount("--cpus-total", cpus_total, "cores"),
                memory_total=options.parse_bytes("--memory-total", memory_total),
            ),
            history=history_file(project.directory),
            fail_fast=fail_fast,
            deadline=options.parse_amount("--deadline", deadline, "seconds"),
            artifacts=None if artifacts_dir is None else artifacts_dir.absolute(),
            snapshots=snapshots,
            keep_failed=keep_failed,
            reports=reports,
            environ=os.environ,
            registries=Registries(environ=os.environ, pull=pull, insecure=insecure),
            check_elf=check_elf,
            secrets=read_secrets(plan, os.environ),
            verbose=verbose,
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
