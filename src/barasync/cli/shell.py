"""`barasync shell`: a terminal in the environment of a cell."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from barasync.cli import options
from barasync.cli.cell_options import CellOptions, RunOptions, request_of, request_of_one
from barasync.cli.option_groups import with_groups
from barasync.cli.project import Project, find_project
from barasync.cli.service_networks import with_networks
from barasync.config.copies import parse_copies
from barasync.errors import ConfigError
from barasync.images.freshness import Freshness
from barasync.matrix.axes import Combination
from barasync.matrix.plan import Plan, plan_kept, plan_shell

if TYPE_CHECKING:
    from barasync.images.kept import NeededImage


@with_groups
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
    arch: options.OneArch = None,
    config: options.OneConfig = None,
    define: options.Define = None,
    cell: CellOptions,
    copy: options.Copy = None,
    detach_keys: options.DetachKeys = None,
    no_stdin: options.NoStdin = False,
    asked: RunOptions,
) -> None:
    """Open a terminal in a container as the cell has it: image, files, limits, network, variables.

    It is bash where the image has one, else sh, and its exit code is ours. Where stdin or stdout is
    no terminal, or with --no-stdin, it has none, and stdin goes to it as it comes.
    """
    copies = parse_copies(copy or ())
    project = find_project(Path.cwd(), define)
    networks = partial(with_networks, network=cell.network, url=asked.url, environ=os.environ)
    words = tuple(command or ())
    needed: tuple[NeededImage, ...] = ()
    if from_failed is not None:
        if arch is not None or config is not None:
            raise ConfigError(
                "--from-failed: the cell has its architecture and its configuration",
                hint="leave --arch and --config out",
            )
        # The first word after -- is no cell then.
        words = words if name is None else (name, *words)
        plan, needed = _plan_failed(project, cell, networks, from_failed, words)
        asked = replace(asked, pull=Freshness.NEVER)
    elif name is not None:
        request = request_of_one(networks(project), cell, arch=arch, config=config)
        plan = plan_shell(request, name, words)
    else:
        raise ConfigError(
            "CELL|IMAGE: neither a cell nor an image is named",
            hint="`barasync matrix RULE --plan` lists the cells; or give --from-failed RUN CELL",
        )
    for note in plan.notes:
        typer.echo(f"note: {note}", err=True)
    # The engine takes 0.2 s to load; `--help` does without.
    from barasync.cli.execution import Execution, Limits  # noqa: PLC0415 - as said
    from barasync.cli.show import show_shell  # noqa: PLC0415 - as said
    from barasync.cli.terminals import parse_detach_keys  # noqa: PLC0415 - as said

    keys = parse_detach_keys(detach_keys)
    execution = Execution.of(plan, project, asked, os.environ)
    execution = replace(execution, limits=Limits(jobs=1), copies=copies, needed=needed)
    show_shell(execution, keys, stdin=not no_stdin)


def _plan_failed(
    project: Project,
    cell: CellOptions,
    networks: Callable[..., Project],
    failed: tuple[str, str],
    command: tuple[str, ...],
) -> tuple[Plan, tuple[NeededImage, ...]]:
    """Return the plan of a shell in what is kept of a failed cell, and the images that takes.

    `networks` is `with_networks`, which has to know the network that the cell had.

    Raises:
        ConfigError: nothing is.
    """
    # It takes the records of runs to load.
    from barasync.images.kept import NeededImage  # noqa: PLC0415 - it loads the client
    from barasync.report.files import runs_directory  # noqa: PLC0415 - as said
    from barasync.report.kept import find_kept  # noqa: PLC0415 - as said

    kept = find_kept(runs_directory(project.directory), *failed)
    request = request_of(networks(project, kept=kept.settings.network), cell)
    one = Combination(
        platform=kept.platform, config=kept.config, rule=kept.rule, repetition=kept.repetition
    )
    plan = plan_kept(request, one, kept.image, kept.settings.table(), command)
    services = (
        NeededImage(id=each.image, what=f"service '{each.name}' ({each.asked}) of {kept}")
        for each in kept.settings.services
    )
    return plan, (NeededImage(id=kept.image, what=str(kept), name=kept.name), *services)
