from __future__ import annotations

import pytest

from barasync.engine.memory import read_shortage, shortage

CALM = """some avg10=0.35 avg60=0.10 avg300=0.02 total=123456
full avg10=20.00 avg60=0.05 avg300=0.01 total=65432
"""
STALLED = CALM.replace("some avg10=0.35", "some avg10=34.20")


def meminfo(available: int | None) -> str:
    lines = ["MemTotal:       16384000 kB", "MemFree:          120000 kB"]
    if available is not None:
        lines.append(f"MemAvailable:   {available:>8} kB")
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("pressure", "available"),
    [(CALM, 8_000_000), ("", 8_000_000), ("", None), (CALM, 820_000)],
)
def test_a_host_with_memory_has_no_shortage(pressure: str, available: int | None) -> None:
    assert shortage(pressure, meminfo(available)) is None


def test_processes_that_wait_for_memory_are_a_shortage_however_much_is_available() -> None:
    found = shortage(STALLED, meminfo(8_000_000))

    assert found is not None
    assert found.reason == "processes wait for memory, 34 % of the time"


@pytest.mark.parametrize("pressure", [CALM, ""])
def test_little_memory_is_a_shortage(pressure: str) -> None:
    found = shortage(pressure, meminfo(700_000))

    assert found is not None
    assert found.reason == "683 MiB of memory are available"


def test_nothing_known_is_no_shortage() -> None:
    assert shortage("", "") is None


def test_this_host_can_be_looked_at() -> None:
    read_shortage()
