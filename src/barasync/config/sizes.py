"""Sizes of memory as people write them."""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) ?(?:([kmgt])(?:i?b)?|b)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes that a size such as `"2g"`, `"512m"`, `"1.5GiB"` or `"4096"` means.

    Every unit is a power of 1024, `"1kb"` too, and a bare number is bytes: podman's `--memory`
    reads them so. A fraction of a byte is dropped.

    Raises:
        ValueError: the text is not a size; the message says what one looks like.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is not a size; write a number and a unit: '512m', '2g', '1.5GiB'"
        )
    number, unit = match.groups(default="")
    return int(Decimal(number) * 1024 ** _UNITS[unit.lower()])


def format_size(size: int) -> str:
    """Return a size in the largest unit that divides it, without rounding: `"1536 MiB"`."""
    for unit, power in (("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power} {unit}"
    return f"{size} B"
