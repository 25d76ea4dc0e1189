"""Whether the host runs short of memory: a function of what the kernel tells of it.

Two signs, either of which will do. Pressure stall information is the better one: it says that
processes wait for memory, however much is free by the numbers. Where the kernel does not have it,
what is available has to do.

Source: proc(5), `/proc/meminfo`; the kernel's `Documentation/accounting/psi.rst`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PRESSURE = Path("/proc/pressure/memory")
_MEMINFO = Path("/proc/meminfo")

_STALLED_PERCENT = 10.0
"""Of the last ten seconds in which some process waited for memory."""
_LEAST_PERCENT = 5.0
_SOME = re.compile(r"^some avg10=([0-9.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """The host runs short of memory; `reason` is half a sentence for a person."""

    reason: str


LookAtMemory = Callable[[], Shortage | None]
"""Looks at the host of the cells; blocking, for a moment."""


def shortage(pressure: str, meminfo: str) -> Shortage | None:
    """Judge the texts of `/proc/pressure/memory` and `/proc/meminfo`; empty where there is none."""
    found = _SOME.search(pressure)
    if found is not None and float(found[1]) >= _STALLED_PERCENT:
        return Shortage(reason=f"processes wait for memory, {float(found[1]):.0f} % of the time")
    total, available = _kibibytes(meminfo, "MemTotal"), _kibibytes(meminfo, "MemAvailable")
    if total and available is not None and 100 * available < _LEAST_PERCENT * total:
        return Shortage(reason=f"{available // 1024} MiB of memory are available")
    return None


def read_shortage() -> Shortage | None:
    """Apply `shortage` to this host; blocking, two small files."""
    return shortage(_text(_PRESSURE), _text(_MEMINFO))


def _kibibytes(meminfo: str, name: str) -> int | None:
    found = re.search(rf"^{name}:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(found[1]) if found else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
