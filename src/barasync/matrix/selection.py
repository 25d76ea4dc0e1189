"""Which cells of a plan run: `--select` and `--exclude` over their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError, NothingSelected

_MOST_ALTERNATIVES = 1000
"""What braces may expand to; `{a,b}` twenty times over is a slip, not a selection."""
_DEEPEST_NESTING = 10
_IDS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Selection:
    """The ids that run, in the order of the plan, and what a person should know about the globs."""

    ids: tuple[str, ...]
    notes: tuple[str, ...] = ()


def select(ids: Sequence[str], include: Sequence[str], exclude: Sequence[str]) -> Selection:
    """Return the ids that some `include` glob matches (all, without any) and no `exclude` glob.

    `ids` is not empty. Globs are case-sensitive and match a whole id: `*`, `?`, `[abc]`, `[!abc]`
    and `{a,b}`, which may nest.

    Raises:
        ConfigError: a glob has unbalanced braces or too many alternatives.
        NothingSelected: no id is left.
    """
    wanted = {glob: _matches(glob, ids, "--select") for glob in include}
    unwanted = {glob: _matches(glob, ids, "--exclude") for glob in exclude}
    chosen = set[str]().union(*wanted.values()) if include else set(ids)
    left = chosen.difference(*unwanted.values())
    kept = tuple(name for name in ids if name in left)
    if not kept:
        raise NothingSelected(_why_nothing(ids, wanted, chosen), hint=_listing(ids))
    notes = [
        f"{option} '{glob}' matches no cell{did_you_mean(glob, ids)}"
        for option, globs in (("--select", wanted), ("--exclude", unwanted))
        for glob, matched in globs.items()
        if not matched
    ]
    return Selection(kept, tuple(notes))


def expand_braces(glob: str, where: str = "glob") -> tuple[str, ...]:
    """Return the globs that `{a,b}` stands for; a glob without braces is itself.

    Raises:
        ConfigError: a brace is not closed or not opened, or there are too many alternatives.
    """
    alternatives = _concatenate(list(_pieces(glob, where)), glob, where)
    return tuple(dict.fromkeys(alternatives))


def _matches(glob: str, ids: Sequence[str], option: str) -> frozenset[str]:
    globs = expand_braces(glob, option)
    return frozenset(name for name in ids if any(fnmatchcase(name, one) for one in globs))


def _pieces(glob: str, where: str) -> Iterator[list[str]]:
    """Yield the alternatives of each part of a glob: one for plain text, several for braces."""
    depth = 0
    part = ""
    options: list[str] = []
    for character in glob:
        if character == "}" and depth == 0:
            raise ConfigError(f"{where} '{glob}': there is a '}}' without its '{{'")
        if character == "{" and depth == 0:
            yield [part]
            part, options = "", []
        elif character == "}" and depth == 1:
            options.append(part)
            yield [plain for option in options for plain in expand_braces(option, where)]
            part = ""
        elif character == "," and depth == 1:
            options.append(part)
            part = ""
        else:
            part += character
        depth += (character == "{") - (character == "}")
        if depth > _DEEPEST_NESTING:
            raise ConfigError(f"{where} '{glob}': braces nest more than {_DEEPEST_NESTING} deep")
    if depth:
        raise ConfigError(f"{where} '{glob}': there is a '{{' without its '}}'")
    yield [part]


def _concatenate(pieces: list[list[str]], glob: str, where: str) -> list[str]:
    globs = [""]
    for piece in pieces:
        if len(globs) * len(piece) > _MOST_ALTERNATIVES:
            raise ConfigError(
                f"{where} '{glob}': the braces mean more than {_MOST_ALTERNATIVES} globs"
            )
        globs = [head + tail for head in globs for tail in piece]
    return globs


def _why_nothing(ids: Sequence[str], wanted: dict[str, frozenset[str]], chosen: set[str]) -> str:
    if chosen:
        return "--exclude leaves out every cell that was selected"
    globs = ", ".join(f"'{glob}'" for glob in wanted)
    suggestion = did_you_mean(next(iter(wanted)), ids)
    return f"--select {globs} matches no cell{suggestion}"


def _listing(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    return f"the cells are {', '.join(ids[:_IDS_SHOWN])}{more}"
