"""Our standard streams, and the console that suits them."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from barasync.cli.standard_streams import STDERR, STDOUT
from barasync.matrix.cells import Cell
from barasync.report.channel import Channel, Descriptor
from barasync.report.console import Consoles, View
from barasync.report.files import RunDirectory
from barasync.report.frames import Frame, GitHubFrame, PlainFrame
from barasync.report.passthrough import PortsView, copy_views
from barasync.report.terminal import OutputMode, choose_mode
from barasync.report.views import view_for


def channels(environ: Mapping[str, str]) -> tuple[Channel, Channel]:
    """Return our stdout and stderr as channels."""
    out = Channel.of(Descriptor(STDOUT), encoding=sys.stdout.encoding, environment=environ)
    error = Channel.of(Descriptor(STDERR), encoding=sys.stderr.encoding, environment=environ)
    return out, error


def matrix_view(
    asked: OutputMode,
    directory: RunDirectory,
    out: Channel,
    notices: Channel,
    environ: Mapping[str, str],
) -> View:
    """Return the view of a run of many cells."""
    github = bool(environ.get("GITHUB_ACTIONS"))
    frame: Frame = GitHubFrame(secrets.token_hex(16)) if github else PlainFrame()
    mode = choose_mode(asked, terminal=out.terminal, environment=environ)
    return view_for(
        mode,
        out=out,
        notices=notices,
        logs=directory.logs,
        frame=frame,
        clock=time.monotonic,
    )


def passthrough_views(
    directory: RunDirectory,
    cell: Cell,
    out: Channel,
    error: Channel,
    unread: Callable[[], None],
) -> Sequence[View]:
    """Return the views of one container whose output is ours; see `copy_views` for `unread`."""
    together = Descriptor(STDOUT).same_as(Descriptor(STDERR))
    logs = directory.logs(cell.id)
    copies = copy_views(logs, out, error, together=together, unread=unread)
    return [*copies, *ports_views(cell, error)]


def ports_views(cell: Cell, error: Channel) -> Sequence[View]:
    """Return the view of what podman chooses for one container, if it has anything to choose."""
    ports = () if cell.policy is None else cell.policy.ports
    chosen = {f"{port.container}/{port.protocol}" for port in ports if not port.host}
    return [PortsView(error, chosen)] if chosen else []


def consoles(views: Sequence[View], *, trace: Channel | None) -> Consoles:
    """Return consoles for some views, and one that logs events to `trace`."""
    if trace is None:
        return Consoles(views)
    # structlog takes 80 ms to load, a third of the start.
    from barasync.cli.trace import TraceView  # noqa: PLC0415 - as said

    return Consoles([*views, TraceView(trace)])
