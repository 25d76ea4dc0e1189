"""Our side of a conversation: the standard streams, and the signals that concern them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from barasync.cli.interrupts import Interrupts
from barasync.cli.standard_streams import STDIN, STDOUT
from barasync.cli.terminal import channels
from barasync.report.channel import Channel


@dataclass(frozen=True, slots=True)
class Here:
    """Where a conversation takes place; `interrupts` are the command's.

    `stdin` is a descriptor, or `None` where nothing is to be read here.
    """

    interrupts: Interrupts
    out: Channel
    error: Channel
    stdin: int | None = STDIN

    @classmethod
    def of(cls, interrupts: Interrupts, environ: Mapping[str, str], *, stdin: bool = True) -> Here:
        """Return our standard streams; without `stdin` that is left to others."""
        out, error = channels(environ)
        return cls(interrupts, out, error, STDIN if stdin else None)


def is_terminal() -> bool:
    """Return whether somebody sits here: our stdin and our stdout are terminals."""
    return os.isatty(STDIN) and os.isatty(STDOUT)
