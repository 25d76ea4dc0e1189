"""What a cell's output begins with, where that tells why its command never began.

Of a script whose interpreter is not in the image the runtime says that the script is not there. It
says so on the stderr of the container, which then ends with 1 (crun 1.8.1 and 1.21, measured with
podman 4.3.1 and 5.4.2); with `#!/usr/bin/env bash` it may be `env` that says it, and ends with 127.
"""

from __future__ import annotations

import re
from dataclasses import replace

from barasync.aiopodman import Chunk
from barasync.engine.drain import Sink
from barasync.engine.job import Job
from barasync.matrix.command import BAR
from barasync.matrix.outcome import Outcome, Status

_MOST_BYTES = 1024
_NOT_FOUND = 127
_NEVER_BEGAN = frozenset({1, 126, _NOT_FOUND})
_NO_INTERPRETER = re.compile(rf"\bexec .*[/ `]{BAR}`?: no such file or directory", re.IGNORECASE)
_NO_BASH = re.compile(r"\benv: .*\bbash\b.*: no such file or directory", re.IGNORECASE)


class FirstWords:
    """A sink that keeps the beginning of what it passes on, and knows whether that is all."""

    def __init__(self, log: Sink) -> None:
        self._log = log
        self._kept = b""

    async def write(self, chunk: Chunk) -> None:
        """Take a piece of output."""
        if len(self._kept) <= _MOST_BYTES:
            self._kept += chunk.data[: _MOST_BYTES + 1 - len(self._kept)]
        await self._log.write(chunk)

    @property
    def all(self) -> str:
        """The whole output where it is short, else nothing."""
        return "" if len(self._kept) > _MOST_BYTES else self._kept.decode(errors="replace")


def with_bash_missed(outcome: Outcome, job: Job, words: str) -> Outcome:
    """Return the outcome of a cell that called bar, in an image without the bash that it takes.

    `words` are all that its command printed. The exit code is that of a command that is not found.
    """
    settings = job.cell.settings
    failed = outcome.status is Status.FAILED and outcome.exit_code in _NEVER_BEGAN
    if settings.command or not failed:
        return outcome
    if not (_NO_INTERPRETER.search(words) or _NO_BASH.search(words)):
        return outcome
    return replace(
        outcome,
        exit_code=_NOT_FOUND,
        reason=f"`{job.command[0]}` was not executed: image {settings.image} has no bash",
        hint="`podman_layer_bar` of Bar.d/podman makes an image with bash and bar of it",
    )
