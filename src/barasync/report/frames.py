"""Frames: what stands before and after the output of a cell that is shown as one block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from barasync.events import AttemptEnded, CellRetried
from barasync.matrix.outcome import Status
from barasync.report.terminal import Style
from barasync.report.words import ended_line, verdict_colour


class Frame(Protocol):
    """What a block is framed by."""

    def head(self, event: AttemptEnded, style: Style) -> Sequence[str]:
        """Return the lines before the output of a cell."""

    def foot(self, event: AttemptEnded, style: Style) -> Sequence[str]:
        """Return the lines after the output of a cell."""


class PlainFrame:
    """A heading in front, an empty line behind."""

    def head(self, event: AttemptEnded, style: Style) -> Sequence[str]:
        """Return the heading, in the colour of the verdict."""
        heading = f"=== {ended_line(event)} ==="
        return (style.paint(heading, verdict_colour(event.outcome.status)),)

    def foot(self, event: AttemptEnded, style: Style) -> Sequence[str]:  # noqa: ARG002 - a Frame
        """Return an empty line."""
        return ("",)


class GitHubFrame:
    """A group that the log of GitHub Actions folds, and an annotation where a cell did not pass.

    The output of a container is not to command the runner in our name (`::add-path::…`), so inside
    the group commands are switched off with `token`, which no container knows.

    Source: docs.github.com, "Workflow commands for GitHub Actions".
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def head(self, event: AttemptEnded, style: Style) -> Sequence[str]:  # noqa: ARG002 - a Frame
        """Open the group and stop the runner from listening."""
        return (
            f"::group::{_command_data(ended_line(event))}",
            f"::stop-commands::{self._token}",
        )

    def foot(self, event: AttemptEnded, style: Style) -> Sequence[str]:  # noqa: ARG002 - a Frame
        """Let the runner listen again, close the group, annotate a failure."""
        lines = [f"::{self._token}::", "::endgroup::"]
        retried = isinstance(event, CellRetried)
        if retried or event.outcome.status not in {Status.PASSED, Status.CANCELLED}:
            level = "warning" if retried else "error"
            lines.append(f"::{level}::{_command_data(ended_line(event))}")
        return lines


def _command_data(text: str) -> str:
    """Escape the data of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
