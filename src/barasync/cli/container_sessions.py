"""`barasync container exec` and `barasync container attach`: into a container that runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from barasync.cli import options
from barasync.cli.options_first import OptionsFirst
from barasync.errors import ConfigError

exec_command = typer.Typer(add_completion=False)


@exec_command.command(cls=OptionsFirst)
def exec_(
    container: options.Container,
    command: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND…", help="What is executed.", show_default=False),
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
    command that cannot be executed ends with 126, of one that is not there with 127. The options of
    this command stand before CONTAINER: all that follows that is COMMAND, behind a -- or without.
    """
    # The client takes 0.2 s to load; `--help` does without.
    from barasync.cli.container_exec import ExecRequest, execute_in  # noqa: PLC0415 - as said
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - as said
    from barasync.cli.terminals import is_terminal, parse_detach_keys  # noqa: PLC0415 - likewise

    request = ExecRequest(
        command=words_of(command),
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


def words_of(command: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a COMMAND without the -- that it may begin with.

    Raises:
        ConfigError: there are none.
    """
    words = tuple(command[1:] if command[0] == "--" else command)
    if not words:
        raise ConfigError("COMMAND: there is none to execute")
    return words


def attach(
    container: options.Container,
    *,
    detach_keys: options.DetachKeys = None,
    no_stdin: options.OnlyWatch = False,
    url: options.Url = None,
) -> None:
    """Attach to the command of a running container, as to a shell that was detached.

    What it prints from now on is ours, and what we type its; when it ends, its exit code is ours.
    """
    from barasync.cli.container_attach import attach_to  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - likewise
    from barasync.cli.terminals import parse_detach_keys  # noqa: PLC0415 - likewise

    keys = parse_detach_keys(detach_keys)
    stdin = not no_stdin
    finish(
        lambda interrupts: attach_to(
            container, keys, interrupts, stdin=stdin, url=url, environ=os.environ
        )
    )
