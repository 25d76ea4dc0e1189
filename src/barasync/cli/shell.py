"""`barasync shell`: a terminal in the environment of a cell."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barasync.cli import options
from barasync.cli.project import Project, find_project
from barasync.config.copies import parse_copies
from barasync.config.schema import WorkspaceMode
from barasync.errors import ConfigError
from barasync.images.freshness import Freshness
from barasync.matrix.axes import Combination
from barasync.matrix.plan import Plan, Request, plan_kept, plan_shell
from barasync.matrix.platforms import native

if TYPE_CHECKING:
    from barasync.images.kept import NeededImage


def shell(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="CELL|IMAGE",
            help="A cell of the project, a declared image or a reference.",
            show_default=False,
        ),
    ] = None,
    command: Annotated[
        list[str] | None,
        typer.Argument(help="What to execute instead of a shell; after --.", show_default=False),
    ] = None,
    *,
    from_failed: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--from-failed",
            help="What is kept of a failed cell instead; RUN is an ID, its beginning, or last.",
            metavar="RUN CELL",
        ),
    ] = None,
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
    artifacts_dir: options.ArtifactsDir = None,
    stop_grace: options.StopGrace = None,
    snapshot: options.Snapshot = None,
    detach_keys: options.DetachKeys = None,
    pull: options.Pull = Freshness.MISSING,
    insecure: options.Insecure = False,
    check_elf: options.CheckElf = False,
    url: options.Url = None,
    verbose: options.Verbose = False,
) -> None:
    """Open a terminal in a container as the cell has it: image, files, limits, network, variables.

    It is bash where the image has one, else sh, and its exit code is ours. Where stdin or stdout is
    no terminal, stdin goes to it as it comes.
    """
    copies = parse_copies(copy or ())
    project = find_project(Path.cwd())
    if project.document is None and workspace is None and "BARASYNC_WORKSPACE" not in os.environ:
        workspace = WorkspaceMode.NONE
    request = Request(
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
            artifacts_on=None,
            artifacts_size=None,
            artifacts_files=None,
            artifacts_timeout=None,
            stop_grace=stop_grace,
            retries=None,
            retry_on=None,
        ),
        directory=Path.cwd(),
        environ=os.environ,
        allow_host_network=allow_host_network,
        arch=() if arch is None else (arch,),
        config=() if config is None else (config,),
    )
    words = tuple(command or ())
    needed: tuple[NeededImage, ...] = ()
    if from_failed is not None:
        # The first word after -- is no cell then.
        plan, needed = _plan_failed(
            request, project, from_failed, words if name is None else (name, *words)
        )
        pull = Freshness.NEVER
    elif name is not None:
        plan = plan_shell(request, name, words)
    else:
        raise ConfigError(
            "CELL|IMAGE: neither a cell nor an image is named",
            hint="`barasync matrix RULE --plan` lists the cells; or give --from-failed RUN CELL",
        )
    for note in plan.notes:
        typer.echo(f"note: {note}", err=True)
    snapshots = options.snapshot_names(snapshot, plan.cells)
    # The engine takes 0.2 s to load; `--help` does without.
    from barasync.cli.execute import Execution, Limits  # noqa: PLC0415 - as said
    from barasync.cli.secrets import read_secrets  # noqa: PLC0415 - as said
    from barasync.cli.show import show_shell  # noqa: PLC0415 - as said
    from barasync.cli.terminals import parse_detach_keys  # noqa: PLC0415 - as said
    from barasync.images.registry import Registries  # noqa: PLC0415 - as said

    keys = parse_detach_keys(detach_keys)
    show_shell(
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
            needed=needed,
            environ=os.environ,
            registries=Registries(environ=os.environ, pull=pull, insecure=insecure),
            check_elf=check_elf,
            secrets=read_secrets(plan, os.environ),
            verbose=verbose,
            copies=copies,
        ),
        keys,
    )


def _plan_failed(
    request: Request, project: Project, failed: tuple[str, str], command: tuple[str, ...]
) -> tuple[Plan, tuple[NeededImage, ...]]:
    """Return the plan of a shell in what is kept of a failed cell, and the images that takes.

    Raises:
        ConfigError: nothing is; or --arch or --config is given.
    """
    # It takes the records of runs to load.
    from barasync.images.kept import NeededImage  # noqa: PLC0415 - it loads the client
    from barasync.report.files import runs_directory  # noqa: PLC0415 - as said
    from barasync.report.kept import find_kept  # noqa: PLC0415 - as said

    if request.arch or request.config:
        raise ConfigError(
            "--from-failed: the cell has its architecture and its configuration",
            hint="leave --arch and --config out",
        )
    kept = find_kept(runs_directory(project.directory), *failed)
    one = Combination(platform=kept.platform, config=kept.config)
    plan = plan_kept(request, one, kept.image, kept.settings.table(), command)
    services = (
        NeededImage(id=each.image, what=f"service '{each.name}' ({each.asked}) of {kept}")
        for each in kept.settings.services
    )
    return plan, (NeededImage(id=kept.image, what=str(kept), name=kept.name), *services)
