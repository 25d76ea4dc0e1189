"""`barasync run`: one container whose output and exit code are ours."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Annotated

import typer

from barasync.cli import detaching, options
from barasync.cli.project import find_project
from barasync.cli.reports import parse_reports
from barasync.config.copies import parse_copies
from barasync.config.schema import WorkspaceMode
from barasync.images.freshness import Freshness
from barasync.matrix.plan import Request, plan_run
from barasync.matrix.platforms import native


def run(
    image: Annotated[
        str, typer.Argument(help="A declared image or a reference.", show_default=False)
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(help="What to execute; after --.", show_default=False),
    ] = None,
    *,
    arch: Annotated[
        str | None, typer.Option("--arch", help="The architecture; this machine's by default.")
    ] = None,
    config: Annotated[
        str | None, typer.Option("--config", help="A configuration of the project.")
    ] = None,
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
    copy: options.Copy = None,
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
    detach: detaching.Detach = False,
    wait_healthy: detaching.WaitHealthy = None,
    health_cmd: detaching.HealthCmd = None,
    health_interval: detaching.HealthInterval = None,
    health_timeout: detaching.HealthTimeout = None,
    health_retries: detaching.HealthRetries = None,
    health_start_period: detaching.HealthStartPeriod = None,
    url: options.Url = None,
    verbose: options.Verbose = False,
) -> None:
    """Run COMMAND in one container; its output is ours, its exit code is ours.

    Outside a project (no barasync.toml upwards of here) the working directory stays outside of the
    container, unless --workspace says otherwise.

    With --detach the container goes on after the command has ended, under the name that it prints:
    `barasync container` has what shows and ends it.
    """
    detachment = detaching.detachment_of(
        detaching.Asked(
            detach=detach,
            wait_healthy=wait_healthy,
            health_cmd=health_cmd,
            health_interval=health_interval,
            health_timeout=health_timeout,
            health_retries=health_retries,
            health_start_period=health_start_period,
        )
    )
    copies = parse_copies(copy or ())
    project = find_project(Path.cwd())
    if project.document is None and workspace is None and "BARASYNC_WORKSPACE" not in os.environ:
        workspace = WorkspaceMode.NONE
    plan = plan_run(
        Request(
            native=native(platform.machine()),
            document=project.document,
            origin=project.origin,
            options=options.cell_table(
                image=None,
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
            arch=() if arch is None else (arch,),
            config=() if config is None else (config,),
        ),
        image,
        tuple(command or ()),
    )
    if detachment is not None:
        plan = detaching.detached_plan(
            plan,
            {
                "--artifact": artifact is not None,
                "--artifacts-dir": artifacts_dir is not None,
                "--snapshot": snapshot is not None,
                "--keep-failed": keep_failed,
                "--stop-grace": stop_grace is not None,
            },
        )
    for note in plan.notes:
        typer.echo(f"note: {note}", err=True)
    snapshots = options.snapshot_names(snapshot, plan.cells)
    reports = parse_reports(report or (), Path.cwd())
    # The engine takes 0.2 s to load; `--help` does without.
    from barasync.cli.execute import Execution, Limits  # noqa: PLC0415 - as said
    from barasync.cli.secrets import read_secrets  # noqa: PLC0415 - as said
    from barasync.cli.show import show_single  # noqa: PLC0415 - as said
    from barasync.images.registry import Registries  # noqa: PLC0415 - as said

    show_single(
        Execution(
            plan=plan,
            project=project,
            url=url,
            limits=Limits(jobs=1),
            history=None,
            fail_fast=False,
            deadline=None,
            artifacts=None if artifacts_dir is None else artifacts_dir.absolute(),
            snapshots=snapshots,
            keep_failed=keep_failed,
            reports=reports,
            environ=os.environ,
            registries=Registries(environ=os.environ, pull=pull, insecure=insecure),
            check_elf=check_elf,
            secrets=read_secrets(plan, os.environ),
            verbose=verbose,
            copies=copies,
            detachment=detachment,
        )
    )
