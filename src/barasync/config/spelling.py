"""The nearest known word to one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

_SIMILAR = 0.6
"""The ratio that `difflib` recommends; `"cpu"` still finds `"cpus"`, `"x"` finds nothing."""


def closest(word: str, known: Iterable[str], *, similarity: float = _SIMILAR) -> str | None:
    """Return the word that was probably meant, or `None` when none comes near.

    Letters in the wrong order are the likeliest slip: `"amr64"` means `"arm64"`, though `"amd64"`
    shares as many letters at their places.
    """
    candidates = get_close_matches(word, list(known), n=5, cutoff=similarity)
    if not candidates:
        return None
    return max(
        candidates,
        key=lambda candidate: (
            sorted(candidate) == sorted(word),
            SequenceMatcher(None, candidate, word).ratio(),
        ),
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message, `"; did you mean 'arm64'?"`, or nothing."""
    meant = closest(word, known)
    return "" if meant is None else f"; did you mean '{meant}'?"
