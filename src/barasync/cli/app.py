"""The door: the commands of barasync, and the one place where errors become exit codes."""

from __future__ import annotations

import gc
import io
import sys
import traceback
from typing import Annotated

import typer

from barasync import __version__
from barasync.cli.commands import group_of
from barasync.cli.open_files import allow_many
from barasync.cli.signals import die_in_the_end, ended_with, take_as_ctrl_c
from barasync.cli.standard_streams import STDERR, unwritten, write_nowhere
from barasync.cli.unread import comes_of_broken_pipe, leave_unread
from barasync.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_UNREAD, ConfigError

_COMMANDS = {
    "matrix": "barasync.cli.matrix:matrix",
    "run": "barasync.cli.run:run",
    "shell": "barasync.cli.shell:shell",
    "wait": "barasync.cli.wait:wait",
    "clean": "barasync.cli.clean:clean",
    "doctor": "barasync.cli.doctor:doctor",
    "image": "barasync.cli.image:app",
    "arch": "barasync.cli.arch:app",
    "artifact": "barasync.cli.artifact:app",
    "container": "barasync.cli.container:app",
    "network": "barasync.cli.network:app",
    "bar": "barasync.cli.bar:app",
    "version": "barasync.cli.version:version",
}

app = typer.Typer(
    name="barasync",
    cls=group_of(_COMMANDS),
    help="Run a project's rules in podman containers: every architecture × configuration at once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"barasync {__version__}")
        raise typer.Exit


@app.callback()
def barasync(
    _version_option: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Run a project's rules in podman containers: every architecture × configuration at once."""


def main() -> int:
    """Run the command line; return the exit code of the contract.

    A process that ends with it dies of the signal, where one has ended the command.
    """
    # What modules make when they are loaded is no garbage; to look for some took 0.03 s.
    gc.disable()
    die_in_the_end()
    take_as_ctrl_c()
    allow_many()
    _print_any_name()
    try:
        code = _run()
    # Also while an error is explained.
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    finally:
        # Python looks through everything once more before it ends, for 0.03 s.
        gc.freeze()
    return ended_with(code)


def _run() -> int:
    try:
        return _command()
    except SystemExit as ending:
        # What the library of the command line makes of a reader who has left.
        if not comes_of_broken_pipe(ending):
            return _code_of(ending)
        # Help has seen to that already.
        leave_unread()
        return EXIT_UNREAD
    except Exception as error:  # noqa: BLE001 - the last resort of the program: explained, exit 70
        from barasync.cli.failures import explain, is_all  # noqa: PLC0415 - loads the client

        if is_all(error, BrokenPipeError) and leave_unread():
            return EXIT_UNREAD
        told = unwritten() if is_all(error, OSError) else None
        explanation = explain(told or error)
        try:
            if explanation.defect:
                traceback.print_exc()
            sys.stderr.write(explanation.text)
            sys.stderr.flush()
        except OSError:
            # The exit code still tells, unless Python tries again at its end and takes its own.
            write_nowhere(STDERR)
        return explanation.exit_code


def _command() -> int:
    """Do what the command line says, and return its exit code; raise what is wrong with it."""
    try:
        return int(app(standalone_mode=False) or EXIT_OK)
    except typer.TyperException as error:
        from barasync.cli.mistakes import config_error, is_help  # noqa: PLC0415 - for them only

        if is_help(error):
            return ConfigError.exit_code
        raise config_error(error) from None


def _code_of(ending: SystemExit) -> int:
    assert isinstance(ending.code, int), "the library of the command line says nothing else"
    return ending.code


def _print_any_name() -> None:
    """Let stdout spell a name that is not UTF-8, as stderr does, where it would end the command."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
