"""Rows of words as a table in plain text."""

from __future__ import annotations

from collections.abc import Collection, Sequence

_BETWEEN = "  "
_NOTHING = frozenset({"", "-"})


def in_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of equal length, a line for each, their columns below one another."""
    widths = _widths(rows)
    return "\n".join(
        _BETWEEN.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def width(rows: Sequence[Sequence[str]]) -> int:
    """Return how wide the table of `in_columns` is."""
    widths = _widths(rows)
    return sum(widths) + len(_BETWEEN) * (len(widths) - 1)


def fitted(
    rows: Sequence[Sequence[str]], columns: int, *, least_first: Sequence[str]
) -> Sequence[Sequence[str]]:
    """Leave out columns of a table, whose first row has their names, until it fits.

    Those of `least_first` may go: first those in which no row has anything, then one after the
    other.
    """
    gone = {
        title
        for title, *texts in zip(*rows, strict=True)
        if title in least_first and _NOTHING.issuperset(texts)
    }
    left = _without(rows, gone)
    for title in least_first:
        if width(left) <= columns:
            break
        gone.add(title)
        left = _without(rows, gone)
    return left


def _without(rows: Sequence[Sequence[str]], titles: Collection[str]) -> Sequence[Sequence[str]]:
    kept = [number for number, title in enumerate(rows[0]) if title not in titles]
    return [[row[number] for number in kept] for row in rows]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]
