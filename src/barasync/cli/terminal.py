"""Our standard streams, and the console that suits them."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Mapping

from barasync.report.channel import Channel, Descriptor
from barasync.report.console import Console
from barasync.report.files import RunDirectory
from barasync.report.frames import Frame, GitHubFrame, PlainFrame
from barasync.report.passthrough import PassThrough
from barasync.report.terminal import OutputMode, choose_mode
from barasync.report.views import view_for

_STDOUT, _STDERR = 1, 2


def channels(environ: Mapping[str, str]) -> tuple[Channel, Channel]:
    """Return our stdout and stderr as channels."""
    out = Channel.of(Descriptor(_STDOUT), encoding=sys.stdout.encoding, environment=environ)
    error = Channel.of(Descriptor(_STDERR), encoding=sys.stderr.encoding, environment=environ)
    return out, error


def matrix_console(
    asked: OutputMode,
    directory: RunDirectory,
    out: Channel,
    notices: Channel,
    environ: Mapping[str, str],
) -> Console:
    """Return the console for a run of many cells."""
    github = bool(environ.get("GITHUB_ACTIONS"))
    frame: Frame = GitHubFrame(secrets.token_hex(16)) if github else PlainFrame()
    mode = choose_mode(asked, terminal=out.terminal, environment=environ)
    view = view_for(
        mode,
        out=out,
        notices=notices,
        logs=directory.logs,
        frame=frame,
        clock=time.monotonic,
    )
    return Console(view)


def passthrough(directory: RunDirectory, cell: str, out: Channel, error: Channel) -> PassThrough:
    """Return the console for a run of one container whose output is ours."""
    together = Descriptor(_STDOUT).same_as(Descriptor(_STDERR))
    return PassThrough(directory.logs(cell), out, error, together=together)
