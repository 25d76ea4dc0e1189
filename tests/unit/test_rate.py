"""How often something may happen."""

from __future__ import annotations

import pytest

from barasync.networks.rate import Rate


def test_some_in_a_row_are_admitted_and_then_as_many_as_the_time_allows() -> None:
    rate = Rate(10, burst=3)

    assert [rate.admits(5.0) for _ in range(5)] == [True, True, True, False, False]
    assert [rate.admits(5.11) for _ in range(2)] == [True, False]
    assert [rate.admits(9.0) for _ in range(4)] == [True, True, True, False]


def test_what_waits_comes_at_the_rate_and_in_turn() -> None:
    rate = Rate(10, burst=2)

    waits = [rate.wait(5.0) for _ in range(4)]

    assert waits == pytest.approx([0.0, 0.0, 0.1, 0.2])
    assert rate.wait(7.0) == 0.0
