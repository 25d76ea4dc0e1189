"""Options whose value may be left out: `--wait-healthy`, or `--wait-healthy=30`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperCommand

DEFAULTS: Mapping[str, str] = {"--wait-healthy": "60"}
"""What each stands for without a value."""


def with_values(words: Sequence[str], defaults: Mapping[str, str] = DEFAULTS) -> list[str]:
    """Return a command line on which every option has a value; what is after `--` is not ours.

    A value is behind `=` only: of a word behind the option nobody could tell what it is.
    """
    end = words.index("--") if "--" in words else len(words)
    ours = [f"{word}={defaults[word]}" if word in defaults else word for word in words[:end]]
    return [*ours, *words[end:]]


class OptionalValues(TyperCommand):
    """A command with such options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line as ever, once all is said that was left out."""
        return super().parse_args(ctx, with_values(args))
