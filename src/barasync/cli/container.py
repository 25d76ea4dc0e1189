"""`barasync container`: containers by hand."""

from __future__ import annotations

import typer

from barasync.cli.commands import group_of

_COMMANDS = {
    "list": "barasync.cli.container_listing:list_",
    "logs": "barasync.cli.container_logs:logs",
    "exec": "barasync.cli.container_sessions:exec_command",
    "attach": "barasync.cli.container_sessions:attach",
    "stop": "barasync.cli.container_ends:stop",
    "remove": "barasync.cli.container_ends:remove",
    "export": "barasync.cli.container_export:export",
    "stats": "barasync.cli.container_usage:stats",
    "top": "barasync.cli.container_usage:top",
}

app = typer.Typer(
    cls=group_of(_COMMANDS),
    help="Containers of the service: listed, looked into, ended.",
    no_args_is_help=True,
)


@app.callback()
def containers() -> None:
    """Containers of the service: listed, looked into, ended."""
