"""What to do about what went wrong with a step."""

from __future__ import annotations

import pytest

from barasync.engine.step_words import hint_of


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("write /x: No space left on device", "barasync image prune"),
        ("netavark: No such file or directory (os error 2)", "install the package iptables"),
    ],
)
def test_a_known_reason_comes_with_what_to_do(reason: str, word: str) -> None:
    hint = hint_of(reason)

    assert hint is not None
    assert word in hint


def test_nothing_is_guessed_about_other_reasons() -> None:
    assert hint_of("make: *** [all] Error 2") is None
