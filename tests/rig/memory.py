"""How much memory a process has ever had."""

from __future__ import annotations

from pathlib import Path

MEBIBYTE = 1024 * 1024


def peak_memory(pid: int) -> int:
    """Return the high-water mark of a process's resident memory in bytes; 0 once it has ended.

    The kernel drops the figure with the process, and `ru_maxrss` of a child includes its parent's
    peak (`setmax_mm_hiwater_rss`). The mark never falls, so whoever asks again and again misses
    only what happens after the last answer.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in status.splitlines():
        name, _, rest = line.partition(":")
        if name == "VmHWM":
            return int(rest.split()[0]) * 1024
    return 0
