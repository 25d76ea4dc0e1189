"""What a tally counts while members come, against each pattern asked for each path."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from barasync.artifacts.manifest import Totals
from barasync.artifacts.pattern import Pattern
from barasync.artifacts.tally import Tally
from tests.property.test_pattern import PATHS, PATTERNS

MEMBERS = st.lists(st.tuples(PATHS, st.integers(0, 1), st.integers(0, 9)), max_size=20)


@given(st.lists(PATTERNS, max_size=4), MEMBERS)
def test_a_tally_counts_for_each_pattern_what_it_matches(
    patterns: list[Pattern], members: list[tuple[tuple[str, ...], int, int]]
) -> None:
    tally = Tally(patterns)
    tally.add("before", files=1, size=1)
    tally.clear()
    tally.add("")
    for path, files, size in members:
        tally.add("/".join(path), files=files, size=size)

    for pattern in patterns:
        found = [(files, size) for path, files, size in members if pattern.matches(path)]
        sums = sum(files for files, _ in found), sum(size for _, size in found)
        assert tally.of(pattern) == Totals(len(found), *sums)
