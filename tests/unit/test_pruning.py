"""Which workspace layers go at the end of a run."""

from __future__ import annotations

from barasync.engine.identity import Liveness
from barasync.engine.pruning import KEPT_LAYERS, KEPT_SECONDS, Judged, outdated

NOW = 1_700_000_000.0
HOUR = 3600.0


def layer(name: str, *, age: float = 60.0, maker: Liveness = Liveness.DEAD) -> Judged:
    return Judged(id=name, used=NOW - age, maker=maker)


def many(count: int, *, maker: Liveness = Liveness.DEAD, age: float = HOUR) -> list[Judged]:
    """Return layers of growing age."""
    return [layer(f"l{n:02}", age=age + n, maker=maker) for n in range(count)]


def test_few_and_young_layers_stay() -> None:
    assert outdated(many(KEPT_LAYERS), used=(), now=NOW) == ()


def test_a_layer_goes_when_it_was_not_used_for_long_however_few_there_are() -> None:
    layers = [layer("old", age=KEPT_SECONDS + 1), layer("young", age=KEPT_SECONDS - 1)]

    assert outdated(layers, used=(), now=NOW) == ("old",)


def test_the_least_recently_used_go_first_where_there_are_too_many() -> None:
    layers = many(KEPT_LAYERS + 3)

    assert outdated(layers, used=(), now=NOW) == ("l22", "l21", "l20")


def test_what_the_run_used_stays_and_counts() -> None:
    layers = [*many(KEPT_LAYERS), layer("used", age=2 * KEPT_SECONDS)]

    assert outdated(layers, used=("used",), now=NOW) == ("l19",)
    everything = [each.id for each in layers]
    assert outdated(layers, used=everything, now=NOW) == ()


def test_what_a_living_run_made_stays() -> None:
    layers = [
        *many(KEPT_LAYERS),
        layer("old", age=2 * KEPT_SECONDS, maker=Liveness.ALIVE),
    ]

    assert outdated(layers, used=(), now=NOW) == ()


def test_what_a_run_made_that_cannot_be_judged_stays_for_a_day() -> None:
    recent = many(KEPT_LAYERS + 1, maker=Liveness.UNKNOWN, age=23 * HOUR)
    older = many(KEPT_LAYERS + 1, maker=Liveness.UNKNOWN, age=25 * HOUR)

    assert outdated(recent, used=(), now=NOW) == ()
    assert outdated(older, used=(), now=NOW) == ("l20",)
