"""The words a cell executes and the variables that tell it which cell it is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from enum import StrEnum

from barasync.config.schema import WORKSPACE, CellSettings, WorkspaceMode
from barasync.config.values import CELL_VARIABLES
from barasync.config.volumes import parse_volume
from barasync.matrix.cells import Cell

VERBATIM = ("{args}",)
"""A command that is its arguments and nothing else; no brace in them is looked at."""

BAR = "bar"
"""What runs rules where nothing else is said."""


class Reading(StrEnum):
    """How the words of a command line are to be read that follow an image."""

    COMMAND = "command"
    """As they are."""
    RULE = "rule"
    """As a rule and its arguments, for the command that the settings have for rules."""
    AUTO = "auto"
    """As a rule where they may be one and the image has no program of that name."""


# Podman takes these for parts of a pattern where it looks for a file.
_OF_PATTERNS = frozenset("*?[\\")
_LONGEST_NAME = 255
_PLACEHOLDER = re.compile(r"\{(rule|args|arch|config|cell)\}")


def expand(cell: Cell, *, rule: str, args: Sequence[str], has_bar: bool = False) -> tuple[str, ...]:
    """Return the words that `cell` executes for `rule`, if it has none of its own, with `args`.

    `{rule}`, `{arch}`, `{config}` (empty where the cell has none) and `{cell}` are put in their
    places in each word of the cell's command. A word that is `{args}` becomes one word per
    argument; inside a longer word, the text of a shell script say, `{args}` becomes the arguments
    quoted for a shell. Every other brace stays, and so does what comes out of a placeholder.

    Without a command of its own a cell calls bar: the one in `/workspace` when it is brought there
    (`has_bar`) with the project's files or on a volume, else the image's `bar`.
    """
    template = cell.settings.command
    if not template:
        template = (_bar(cell.settings) if has_bar else BAR, "{rule}", "{args}")
    values = {
        "rule": rule if cell.rule is None else cell.rule,
        "args": shlex.join(args),
        "arch": cell.arch,
        "config": cell.config or "",
        "cell": cell.id,
    }
    words: list[str] = []
    for word in template:
        if word == "{args}":
            words.extend(args)
        else:
            words.append(_PLACEHOLDER.sub(lambda match: values[match[1]], word))
    return tuple(words)


def mounted_workspace(settings: CellSettings) -> str | None:
    """Return the directory that a cell without the project's files has in their place, if any."""
    if settings.workspace is not WorkspaceMode.NONE:
        return None
    volumes = map(parse_volume, settings.volumes)
    sources = (each.source for each in volumes if each.destination == WORKSPACE)
    return next((source for source in sources if source.startswith("/")), None)


def _bar(settings: CellSettings) -> str:
    """Return how the bar of a cell's `/workspace` is called from where its command starts."""
    without_files = settings.workspace is WorkspaceMode.NONE
    if without_files and mounted_workspace(settings) is None:
        return BAR
    starts = settings.workdir or ("" if without_files else WORKSPACE)
    return f"./{BAR}" if starts == WORKSPACE else f"{WORKSPACE}/{BAR}"


def may_be_rule(words: Sequence[str]) -> bool:
    """Tell whether the first of `words` may name a rule, or is surely for a program."""
    if not words or not words[0] or len(words[0].encode(errors="surrogateescape")) > _LONGEST_NAME:
        return False
    return not ("/" in words[0] or _OF_PATTERNS & set(words[0]))


def uses(template: Sequence[str], placeholder: str) -> bool:
    """Tell whether a command has a place for `placeholder`; the built-in one has both."""
    return not template or any(f"{{{placeholder}}}" in word for word in template)


def environment(cell: Cell, *, run: str) -> dict[str, str]:
    """Return the variables of every cell: the run's id, the cell's, its arch, config, repetition.

    `BARASYNC_CONFIG` and `BARASYNC_REPEAT` are empty where the cell has none, so that `set -u` in a
    script is no trap. A cell's own settings cannot name these variables.
    """
    repetition = "" if cell.repetition is None else str(cell.repetition)
    values = (run, cell.id, cell.arch, cell.config or "", repetition)
    return dict(zip(CELL_VARIABLES, values, strict=True))
