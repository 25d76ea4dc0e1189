"""What a network did not let a cell know, in a sentence."""

from __future__ import annotations

from barasync.networks.asked import RefusedName
from barasync.report.refusals import refused_names_line


def test_refused_names_are_told_with_the_entry_that_lets_the_first_be_known() -> None:
    names = [RefusedName(name, 2) for name in ("db", "a_b.example.org", "a.example.org", "b.org")]

    assert refused_names_line(names) == (
        "refused the names db (2 questions), a_b.example.org (2 questions), a.example.org"
        ' (2 questions) and 1 more; `allow = ["a.example.org"]` lets it know and reach'
        " a.example.org"
    )
    assert refused_names_line(names[:1]) == "refused the names db (2 questions)"
