"""The axes that only a command line has: several rules, and each of them so many times.

They multiply the combinations of a matrix, whatever the file says of those: a combination becomes a
cell for every rule, and each of these as many cells as there are repetitions, next to each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from barasync.errors import ConfigError
from barasync.matrix.axes import Combination

MOST_CELLS = 100_000
"""What the scheduler is measured with; more is a slip, and takes GiB of memory."""

_LONGEST_RULE = 100
"""As that of a configuration, which is in the names of files beside it."""


def multiplied(
    combinations: Sequence[Combination], *, rules: Sequence[str] = (), times: int | None = None
) -> tuple[Combination, ...]:
    """Return the combinations for each of `rules`, without any as they are, each of them `times`.

    With `times` each has the number of its repetition, also where that is only one.

    Raises:
        ConfigError: a rule is empty, too long, or given twice; two cells would have one ID; there
            would be too many.
    """
    if times is not None and times < 1:
        raise ConfigError(f"--repeat: {times} is not a number of repetitions above 0")
    _check_rules(rules)
    count = len(combinations) * max(1, len(rules)) * (times or 1)
    if count > MOST_CELLS:
        raise ConfigError(f"this comes to {count} cells, and {MOST_CELLS} are the most")
    made = tuple(_each(combinations, rules, times))
    _refuse_twins(made)
    return made


def _each(
    combinations: Sequence[Combination], rules: Sequence[str], times: int | None
) -> Iterator[Combination]:
    repetitions = (None,) if times is None else range(1, times + 1)
    for one, rule, repetition in product(combinations, rules or (None,), repetitions):
        yield replace(one, rule=rule, repetition=repetition)


def _check_rules(rules: Sequence[str]) -> None:
    for index, rule in enumerate(rules):
        if not rule:
            raise ConfigError("--rule-each: the name of a rule is empty")
        if len(rule) > _LONGEST_RULE:
            raise ConfigError(
                f"--rule-each: '{rule[:20]}…' cannot be in the ID of a cell:"
                f" it has {len(rule)} characters, and {_LONGEST_RULE} are the most"
            )
        if rule in rules[:index]:
            raise ConfigError(
                f"--rule-each: the rule '{rule}' is given twice",
                hint="--repeat N runs each rule N times; no rule has arguments here",
            )


def _refuse_twins(combinations: Sequence[Combination]) -> None:
    """Refuse cells of one ID: of rules that differ in what an ID cannot have, say."""
    seen: dict[str, Combination] = {}
    for one in combinations:
        twin = seen.setdefault(one.id, one)
        if twin is not one:
            raise ConfigError(
                f"--rule-each: the rules '{twin.rule}' and '{one.rule}' both make cell {one.id}",
                hint="run one of them apart, or leave one of the configurations out",
            )
