"""Which images go, by age, by number and by size, and what stays with what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from barasync.images.pruning import DAY, Bounds, Candidate, outdated

NOW = 1_700_000_000.0
HOUR = 3600.0
GIGABYTE = 10**9


def image(
    name: str,
    *,
    age: float = HOUR,
    below: str = "",
    size: int = 0,
    kind: str = "step",
    stays: bool = False,
    tied: bool = False,
) -> Candidate:
    used = NOW - age
    return Candidate(id=name, used=used, below=below, bytes=size, kind=kind, stays=stays, tied=tied)


def many(count: int) -> list[Candidate]:
    """Return images of growing age."""
    return [image(f"i{n:02}", age=HOUR + n, size=GIGABYTE) for n in range(count)]


def gone(
    images: list[Candidate],
    *,
    days: float | None = None,
    count: int | None = None,
    size: int | None = None,
    kinds: frozenset[str] | None = None,
) -> list[str]:
    seconds = None if days is None else days * DAY
    bounds = Bounds(kinds=kinds, seconds=seconds, count=count, bytes=size)
    return [each.id for each in outdated(images, [bounds], now=NOW)]


def test_what_is_within_every_bound_stays() -> None:
    assert gone(many(3), days=1, count=3, size=3 * GIGABYTE) == []


def test_without_a_bound_nothing_goes() -> None:
    assert gone(many(1000)) == []


def test_an_image_goes_when_it_was_not_used_for_long_however_few_there_are() -> None:
    images = [image("old", age=14 * DAY + 1), image("young", age=14 * DAY - 1)]

    assert gone(images, days=14) == ["old"]


def test_the_least_recently_used_go_first_where_there_are_too_many() -> None:
    assert gone(many(5), count=2) == ["i04", "i03", "i02"]


def test_the_least_recently_used_go_first_where_they_are_too_large() -> None:
    assert gone(many(5), size=3 * GIGABYTE) == ["i04", "i03"]


def test_one_image_that_is_too_large_by_itself_goes() -> None:
    assert gone([image("huge", size=2 * GIGABYTE)], size=GIGABYTE) == ["huge"]


def test_what_stays_counts_before_all_others() -> None:
    images = [*many(2), image("used", age=100 * DAY, size=GIGABYTE, stays=True)]

    assert gone(images, count=2) == ["i01"]
    assert gone(images, size=2 * GIGABYTE) == ["i01"]
    assert gone([replace(each, stays=True) for each in images], count=0, days=0, size=0) == []


def test_children_go_before_their_parents() -> None:
    chain = [image("base"), image("middle", below="base"), image("top", below="middle")]

    assert gone(chain, count=0) == ["top", "middle", "base"]


def test_an_image_is_as_young_as_what_was_made_from_it_last() -> None:
    images = [
        image("base", age=30 * DAY),
        image("old", age=29 * DAY, below="base"),
        image("young", age=DAY, below="base"),
    ]

    assert gone(images, days=14) == ["old"]
    assert gone(images, count=2) == ["old"]
    assert gone(images, count=1) == ["old", "young"]


def test_what_a_kept_image_is_made_from_stays_whatever_bound_it_exceeds() -> None:
    images = [
        image("base", age=30 * DAY, size=5 * GIGABYTE),
        image("middle", age=30 * DAY, below="base", size=GIGABYTE),
        image("kept", age=30 * DAY, below="middle", stays=True),
    ]

    assert gone(images, days=1, count=0, size=0) == []


@pytest.mark.parametrize("age", [DAY, 30 * DAY])
def test_an_image_of_somebody_else_never_goes_and_keeps_its_parents(age: float) -> None:
    images = [image("ours", age=30 * DAY), image("theirs", age=age, below="ours", kind="")]

    assert gone(images, days=14, count=0, size=0) == []


def test_an_image_of_somebody_else_does_not_keep_what_is_made_from_it() -> None:
    images = [image("theirs", kind=""), image("ours", below="theirs")]

    assert gone(images, count=0) == ["ours"]


def test_a_bound_of_some_kinds_leaves_the_others_uncounted() -> None:
    images = [*many(3), image("layer1", kind="workspace"), image("layer2", kind="workspace")]

    assert gone(images, count=1, kinds=frozenset({"workspace"})) == ["layer2"]


def test_images_of_a_kind_that_a_bound_of_all_leaves_out_take_no_room_of_the_others() -> None:
    kept = [image(f"kept{number}", kind="kept", age=3 * DAY) for number in range(3)]
    images = [*kept, image("one", age=4 * DAY), image("two", age=5 * DAY)]
    bounds = [
        Bounds(kinds=frozenset({"kept"}), seconds=7 * DAY),
        Bounds(others=frozenset({"kept"}), seconds=14 * DAY, count=1),
    ]

    assert [each.id for each in outdated(images, bounds, now=NOW)] == ["two"]
    later = outdated(images, bounds, now=NOW + 5 * DAY)
    assert {each.id for each in later} == {"kept0", "kept1", "kept2", "two"}


def test_a_layer_within_its_own_bound_goes_with_the_bound_of_all_and_its_image_after_it() -> None:
    images = [
        image("old", age=30 * DAY),
        image("layer", age=20 * DAY, below="old", kind="workspace"),
    ]
    bounds = [Bounds(kinds=frozenset({"workspace"}), count=20), Bounds(seconds=14 * DAY)]

    assert [each.id for each in outdated(images, bounds, now=NOW)] == ["layer", "old"]


def test_what_would_take_along_a_nameless_parent_that_is_kept_stays() -> None:
    images = [
        image("nameless", stays=True),
        image("tied", age=30 * DAY, below="nameless", tied=True),
        image("free", age=30 * DAY, below="nameless"),
    ]

    assert gone(images, days=14) == ["free"]


def test_a_nameless_parent_goes_with_its_last_child() -> None:
    images = [image("nameless"), image("tied", below="nameless", tied=True)]

    assert gone(images, count=0) == ["tied", "nameless"]


def test_what_stays_counts_with_all_that_it_is_made_from() -> None:
    images = [
        image("base", age=30 * DAY),
        image("used", age=30 * DAY, below="base", stays=True),
        image("free"),
    ]

    assert gone(images, count=2) == ["free"]


def test_an_image_stays_below_one_of_a_kind_that_is_not_bound() -> None:
    images = [image("step"), image("layer", below="step", kind="workspace")]

    assert gone(images, count=0, kinds=frozenset({"step"})) == []


def test_an_image_may_be_as_old_as_is_asked_for() -> None:
    assert gone([image("exact", age=14 * DAY)], days=14) == []
