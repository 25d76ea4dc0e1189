"""A text where a sequence of texts is meant: Python's types take one for the other."""

from __future__ import annotations


def refuse_text(what: str, *values: object) -> None:
    """Refuse those of the values that are a text, which would count as a sequence of letters.

    Raises:
        TypeError: there is one; `what` says what was to be a sequence.
    """
    for value in values:
        if isinstance(value, str | bytes):
            raise TypeError(f"{what}: a sequence of texts is wanted, such as [{value!r}]")
