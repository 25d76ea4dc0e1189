"""The scheduler on a simulated clock: its own speed, and how long its schedules are.

The speed is that of a whole run of many cells: the order, every question and every answer. The
length is the makespan against two things: the best list schedule that is known, and the lower
bound. The best list schedule cannot be computed; the shortest of many random ones and of changes to
the best of those stands for it, so a ratio below 1 is possible. The durations are recorded
ones (`tests/data/durations.txt`), and made up from seeds, as a matrix of test suites has them
(`tests/rig/schedules.py`).

At the end it counts the schedules that are more than 5 % longer than the best known, and how many
longest first alone would have made so.

    script/bench scheduler [--cells N] [--seeds N] [--sizes N…]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from barasync.engine.claims import Capacity, Claim
from tests.rig import schedules
from tests.rig.schedules import GIBIBYTE

SIZES = (20, 60, 200, 600, 2000)
# Durations remembered are seldom exact: nine of ten are off by less than a third.
SPREAD = 0.2
STARTS = 20_000
TOLERANCE = 1.05


def speed(cells: int) -> None:
    for name, claims in (
        ("1 CPU each", schedules.ONE_CPU),
        ("16 claims", schedules.MIXED),
        ("all claims different", schedules.all_different(cells)),
    ):
        load = schedules.dealt(cells, seed=1, claims=claims)
        started = time.process_time()
        schedules.makespan(load, Capacity(cpus=16, memory_bytes=32 * GIBIBYTE))
        seconds = time.process_time() - started
        print(
            f"{seconds:5.2f} s of processor time for {cells:,} cells: {name}, on 16 CPUs, 32 GiB",
            flush=True,
        )


@dataclass(frozen=True, slots=True)
class Lengths:
    """Makespans of one load, each divided by that of the best list schedule known."""

    ours: float
    misjudged: float
    longest_first: float
    lower_bound: float


def lengths(capacity: Capacity, claims: Sequence[Claim], cells: int, seed: int) -> Lengths:
    load = schedules.matrix(cells, seed, claims=claims)
    # The large ones vary little from order to order, and cost the most.
    orders = max(20, STARTS // cells)
    best = schedules.best_list_schedule(load, capacity, orders=orders, seed=seed)
    return Lengths(
        ours=schedules.makespan(load, capacity) / best,
        misjudged=schedules.makespan(schedules.misjudged(load, SPREAD, seed), capacity) / best,
        longest_first=schedules.longest_first(load, capacity) / best,
        lower_bound=schedules.lower_bound(load, capacity) / best,
    )


def length(seeds: int, sizes: Sequence[int]) -> None:
    print(f"makespan, median and worst of {seeds} seeds, by the best list schedule known;")
    print("the same with durations misjudged, and with longest first; then the lower bound:")
    everything: list[Lengths] = []
    for name, (capacity, claims) in schedules.CASES.items():
        for cells in sizes:
            found = [lengths(capacity, claims, cells, seed) for seed in range(seeds)]
            everything += found
            columns = (
                [each.ours for each in found],
                [each.misjudged for each in found],
                [each.longest_first for each in found],
            )
            figures = [f"{statistics.median(each):.3f} {max(each):.3f}" for each in columns]
            figures.append(f"{statistics.median(each.lower_bound for each in found):.3f}")
            print(f"  {cells:5,} cells  {'  '.join(figures)}  {name}", flush=True)
    ours = sum(each.ours > TOLERANCE for each in everything)
    longest_first = sum(each.longest_first > TOLERANCE for each in everything)
    print(f"of {len(everything)} more than 5 % longer: {ours}; with longest first {longest_first}")


def recorded(seeds: int) -> None:
    print("of the recorded durations (tests/data/durations.txt), median and worst:")
    for name, (capacity, claims) in schedules.CASES.items():
        found = []
        for seed in range(seeds):
            load = schedules.recorded(seed, claims=claims)
            best = schedules.best_list_schedule(load, capacity, orders=300, seed=seed)
            found.append(schedules.makespan(load, capacity) / best)
        print(f"  {statistics.median(found):.3f} {max(found):.3f}  {name}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    if options.cells:
        speed(options.cells)
    recorded(options.seeds)
    length(options.seeds, options.sizes)


if __name__ == "__main__":
    main()
