"""Which version of QEMU an interpreter is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

_RUN_SECONDS = 5.0
_VERSION = re.compile(r"^qemu-\S+ version (\S+)")


def version_of(interpreter: str) -> str | None:
    """Return the version of the emulator at a path of this host, as `7.2.22`.

    `None` for what is no QEMU, and for one that is not there: the kernel keeps the interpreters
    open that it was given with the flag F, from wherever. Blocks for some milliseconds.
    """
    # What the kernel is given may be a link whose name asks for a way of being called.
    program = Path(interpreter).resolve()
    if not program.name.startswith("qemu-"):
        return None
    try:
        ended = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_RUN_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.match(ended.stdout)
    return None if found is None else found[1]
