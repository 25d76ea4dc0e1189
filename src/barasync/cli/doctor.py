"""`barasync doctor`: what this host can and cannot do, and what to do about it."""

from __future__ import annotations

import os

from barasync.cli import options


def doctor(*, url: options.Url = None) -> None:
    """Say what this host can and cannot do, and what to do about it."""
    from barasync.cli.diagnosis import diagnose  # noqa: PLC0415 - keeps `--help` quick
    from barasync.cli.interrupts import finish  # noqa: PLC0415 - likewise

    finish(lambda _interrupts: diagnose(url, os.environ))
