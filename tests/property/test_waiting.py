"""Cells found by what they claim: the same that looking at all of them finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from barasync.engine.waiting import Waiting

amounts = st.sampled_from((0.0, 1.0, 2.0, 5.0)) | st.floats(0, 8)
groups = st.integers(0, 2)
kinds = st.tuples(amounts, amounts, groups)


@given(
    claims=st.lists(kinds, max_size=40),
    steps=st.lists(st.tuples(st.integers(0, 39), kinds, st.booleans()), max_size=60),
)
def test_the_first_that_fits_is_found_whatever_was_added_removed_and_hidden(
    claims: list[tuple[float, float, int]],
    steps: list[tuple[int, tuple[float, float, int], bool]],
) -> None:
    waiting = Waiting(claims)
    ranks = set(range(len(claims)))
    known = {group for _, _, group in claims}
    hidden: set[int] = set()
    for rank, (cpus, memory, group), hides in steps:
        if rank in ranks:
            waiting.remove(rank)
            ranks.remove(rank)
        elif rank < len(claims):
            waiting.add(rank)
            ranks.add(rank)
        if group in known:
            (waiting.hide if hides else waiting.show)(group)
            (hidden.add if hides else hidden.discard)(group)
        shown = [rank for rank in ranks if claims[rank][2] not in hidden]
        fitting = [rank for rank in shown if claims[rank][0] <= cpus and claims[rank][1] <= memory]
        assert waiting.first() == min(shown, default=None)
        assert waiting.first_within(cpus, memory) == min(fitting, default=None)
    waiting.clear()
    assert waiting.first() is None
    assert waiting.first_within(9, 9) is None
