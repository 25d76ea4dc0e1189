"""What a cell asked for in vain, as it is kept."""

from __future__ import annotations

from barasync.networks.asked import REPORTED, Asked, RefusedName


def test_names_are_counted_and_those_most_asked_for_come_first() -> None:
    asked = Asked()
    for name in ("a.example.org", "b.example.org", "b.example.org"):
        asked.refuse(name)

    assert asked.refused == (RefusedName("b.example.org", 2), RefusedName("a.example.org", 1))
    assert asked.others == 0


def test_whoever_makes_up_names_does_not_fill_the_memory() -> None:
    asked = Asked()
    for number in range(REPORTED + 50):
        asked.refuse(f"{number}.example.org")
    asked.refuse("0.example.org")

    assert len(asked.refused) == REPORTED
    assert asked.refused[0] == RefusedName("0.example.org", 2)
    assert asked.others == 50


def test_a_name_that_comes_into_being_is_no_longer_absent() -> None:
    asked = Asked()
    for exists in (False, False, True):
        asked.find("a.example.org", exists=exists)
        asked.find("b.example.org", exists=False)

    assert asked.absent == ("b.example.org",)
