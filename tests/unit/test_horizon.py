"""What a watch takes as told, and what it asks for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from barasync.aiopodman import Event, EventActor
from barasync.aiopodman.horizon import LATE_SECONDS, MOST_KEPT, Horizon
from tests.unit.recorded import ID, NOON

SECOND = 1_000_000_000
BEGINNING = int(NOON.timestamp()) * SECOND


def event(nanoseconds: int, action: str = "start") -> Event:
    return Event(
        type="container", action=action, actor=EventActor(id=ID), time_nano=BEGINNING + nanoseconds
    )


def told(horizon: Horizon, events: Sequence[Event]) -> list[int]:
    return [each.time_nano - BEGINNING for each in events if horizon.is_new(each)]


def test_an_event_has_a_time() -> None:
    assert event(1_500).time == NOON + dt.timedelta(microseconds=1)


def test_the_same_moment_may_have_several_events() -> None:
    events = [event(1, "start"), event(1, "died"), event(1, "start")]

    assert told(Horizon(BEGINNING), events) == [1, 1]


def test_what_is_asked_for_again_overlaps_but_not_with_what_was_before_the_watch() -> None:
    horizon = Horizon(BEGINNING)
    assert horizon.since == BEGINNING

    horizon.is_new(event(SECOND))
    assert horizon.since == BEGINNING

    horizon.is_new(event(60 * SECOND))
    assert horizon.since == BEGINNING + (60 - LATE_SECONDS) * SECOND


def test_an_event_that_is_late_is_told_and_moves_nothing_back() -> None:
    horizon = Horizon(BEGINNING)

    assert told(horizon, [event(60 * SECOND), event(3 * SECOND)]) == [60 * SECOND, 3 * SECOND]
    assert horizon.since == BEGINNING + (60 - LATE_SECONDS) * SECOND


def test_memory_is_bounded_and_what_is_forgotten_is_not_asked_for() -> None:
    horizon = Horizon(BEGINNING)
    events = [event(number) for number in range(1, MOST_KEPT + 101)]

    assert len(told(horizon, events)) == len(events)
    assert horizon.since == BEGINNING + 101
    again = [each for each in events if each.time_nano >= horizon.since]
    assert told(horizon, again) == []
    assert len(again) == MOST_KEPT


def test_what_is_told_over_a_connection_that_lives_reaches_to_shortly_before_its_end() -> None:
    horizon = Horizon(BEGINNING)
    horizon.wait(BEGINNING, BEGINNING + 50 * SECOND)
    assert horizon.complete is None

    horizon.is_new(event(SECOND))
    horizon.wait(BEGINNING + 2 * SECOND, BEGINNING + 3 * SECOND)
    assert horizon.complete == BEGINNING + SECOND

    horizon.wait(BEGINNING + 3 * SECOND, BEGINNING + 60 * SECOND)
    assert horizon.complete == BEGINNING + 59 * SECOND
    assert not horizon.is_behind_a_gap(event(59 * SECOND, "pull"))
    assert horizon.is_behind_a_gap(event(59 * SECOND + 1, "pull"))
    assert not horizon.is_behind_a_gap(event(59 * SECOND + 1, "pull"))
    assert horizon.is_behind_a_gap(None)
    assert not horizon.is_behind_a_gap(None)


def test_what_was_told_after_a_cut_says_nothing_of_what_was_written_before_it() -> None:
    horizon = Horizon(BEGINNING)
    told(horizon, [event(SECOND), event(11 * SECOND)])
    horizon.cut(BEGINNING + 10 * SECOND, silent=False)

    assert not horizon.is_behind_a_gap(event(9 * SECOND, "pull"))
    assert not horizon.is_behind_a_gap(event(11 * SECOND))
    horizon.cut(BEGINNING + 10 * SECOND, silent=False)
    assert horizon.is_behind_a_gap(event(10 * SECOND, "pull"))


def test_a_cut_behind_a_silence_takes_nothing_but_what_was_written_shortly_before() -> None:
    horizon = Horizon(BEGINNING)
    told(horizon, [event(SECOND)])
    horizon.cut(BEGINNING + 100 * SECOND, silent=True)
    assert not horizon.is_behind_a_gap(event(99 * SECOND, "pull"))

    horizon.cut(BEGINNING + 200 * SECOND, silent=False)
    assert horizon.is_behind_a_gap(event(199 * SECOND, "pull"))
