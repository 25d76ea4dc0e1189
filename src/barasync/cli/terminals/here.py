"""Our side of a conversation: the standard streams, and the signals that concern them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from barasync.cli.interrupts import Interrupts
from barasync.cli.terminal import channels
from barasync.report.channel import Channel

_STDIN, _STDOUT = 0, 1


@dataclass(frozen=True, slots=True)
class Here:
    """Where a conversation takes place; `interrupts` are the command's.

    `stdin` is a descriptor, or `None` where the process was started without one.
    """

    interrupts: Interrupts
    out: Channel
    error: Channel
    stdin: int | None = _STDIN

    @classmethod
    def of(cls, interrupts: Interrupts, environ: Mapping[str, str]) -> Here:
        """Return our standard streams."""
        out, error = channels(environ)
        # What has its number then is something else that was opened since.
        return cls(interrupts, out, error, None if sys.stdin is None else _STDIN)


def is_terminal() -> bool:
    """Return whether somebody sits here: our stdin and our stdout are terminals."""
    return os.isatty(_STDIN) and os.isatty(_STDOUT)
