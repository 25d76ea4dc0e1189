"""Cells found by what they claim: the same that looking at all of them finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from barasync.engine.waiting import Waiting

amounts = st.sampled_from((0.0, 1.0, 2.0, 5.0)) | st.floats(0, 8)
kinds = st.tuples(amounts, amounts)


@given(
    claims=st.lists(kinds, max_size=40),
    steps=st.lists(st.tuples(st.integers(0, 39), kinds), max_size=60),
)
def test_the_first_that_fits_is_found_whatever_was_added_and_removed(
    claims: list[tuple[float, float]], steps: list[tuple[int, tuple[float, float]]]
) -> None:
    waiting = Waiting(claims)
    ranks = set(range(len(claims)))
    for rank, (cpus, memory) in steps:
        if rank in ranks:
            waiting.remove(rank)
            ranks.remove(rank)
        elif rank < len(claims):
            waiting.add(rank)
            ranks.add(rank)
        fitting = [rank for rank in ranks if claims[rank][0] <= cpus and claims[rank][1] <= memory]
        assert waiting.first() == min(ranks, default=None)
        assert waiting.first_within(cpus, memory) == min(fitting, default=None)
    waiting.clear()
    assert waiting.first() is None
    assert waiting.first_within(9, 9) is None
