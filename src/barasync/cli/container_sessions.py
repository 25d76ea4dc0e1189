"""`barasync container exec` and `barasync container attach`: into a container that runs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from barasync.cli import options


def exec_(
    container: options.Container,
    command: Annotated[
        list[str],
        typer.Argument(metavar="-- COMMAND…", help="What is executed.", show_default=False),
    ],
    *,
    terminal: Annotated[
        bool | None,
        typer.Option(
            "--terminal/--no-terminal",
            "-t/-T",
            help="Whether it has a terminal; by default where it reads one, and stdout is one.",
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", help="Repeatable.", metavar="NAME=VALUE"),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", "-u", help="The container's by default.", metavar="USER[:GROUP]"),
    ] = None,
    workdir: Annotated[
        str | None,
        typer.Option("--workdir", "-w", help="An absolute path in it.", metavar="DIR"),
    ] = None,
    detach_keys: options.DetachKeys = None,
    no_stdin: options.NoStdin = False,
    url: options.Url = None,
) -> None:
    """Execute COMMAND in a running container, beside its own; its exit code is ours.

    Its input is ours, to the end, unless --no-stdin says that it has none. What podman says of a
    command that cannot be executed ends with 126, of one that is not there with 127.
    """
    # The client takes 0.2 s to load; `--help` does without.
    from barasync.cli.container_exec import ExecRequest, execute_in  # noqa: PLC0415 - as said
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - as said
    from barasync.cli.terminals import is_terminal, parse_detach_keys  # noqa: PLC0415 - likewise

    request = ExecRequest(
        command=tuple(command),
        environment=options.parse_pairs("--env", env or ()),
        user=user,
        working_directory=workdir,
        terminal=not no_stdin and is_terminal() if terminal is None else terminal,
        stdin=not no_stdin,
        detach_keys=parse_detach_keys(detach_keys),
    )
    finish(
        lambda interrupts: execute_in(container, request, interrupts, url=url, environ=os.environ)
    )


def attach(
    container: options.Container, *, detach_keys: options.DetachKeys = None, url: options.Url = None
) -> None:
    """Attach to the command of a running container, as to a shell that was detached.

    What it prints from now on is ours, and what we type its; when it ends, its exit code is ours.
    """
    from barasync.cli.container_attach import attach_to  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - likewise
    from barasync.cli.terminals import parse_detach_keys  # noqa: PLC0415 - likewise

    keys = parse_detach_keys(detach_keys)
    finish(lambda interrupts: attach_to(container, keys, interrupts, url=url, environ=os.environ))
