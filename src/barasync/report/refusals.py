"""Which names a cell's network did not let it know, in words, and what would let it."""

from __future__ import annotations

from collections.abc import Sequence

from barasync.config.bounds import BadValue
from barasync.config.destinations import parse_name
from barasync.networks.asked import RefusedName
from barasync.report.words import count

_SHOWN = 3


def refused_names_line(refused: Sequence[RefusedName]) -> str:
    """Say which names were refused, a few of them, and which entry of a policy allows the first.

    `refused` is not empty, and begins with what matters most.
    """
    shown = ", ".join(
        f"{each.name} ({count(each.questions, 'question')})" for each in refused[:_SHOWN]
    )
    more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    named = next((each.name for each in refused if _may_be_an_entry(each.name)), None)
    advice = "" if named is None else f'; `allow = ["{named}"]` lets it know and reach {named}'
    return f"refused the names {shown}{more}{advice}"


def _may_be_an_entry(name: str) -> bool:
    try:
        return "." in parse_name(name)
    except BadValue:
        return False
