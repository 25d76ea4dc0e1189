"""What cells take of a host and what it has, in amounts that can be added up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

_NANO = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a cell takes of the host while it runs: `cpus` in cores; 0 claims nothing."""

    cpus: float = 0.0
    memory_bytes: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.cpus < math.inf and self.memory_bytes >= 0):
            raise ValueError(f"a claim cannot be negative or without end, as {self} is")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What all running cells may take together: `jobs` is their number; `None` is without limit.

    A cell that claims more than all of it runs when nothing else does.
    """

    jobs: int | None = None
    cpus: float | None = None
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise ValueError(f"at least one job has to be allowed, not {self.jobs}")
        if not all(limit is None or limit > 0 for limit in (self.cpus, self.memory_bytes)):
            raise ValueError(f"a capacity has to be more than nothing, which {self} is not")


class Load(NamedTuple):
    """An amount of the host, what cells take or what there is of it.

    Amounts are whole numbers, so that sums come out even after any number of cells; only what is
    without limit is infinite.
    """

    jobs: float
    nano_cpus: float
    memory_bytes: float

    @classmethod
    def of(cls, claim: Claim) -> Load:
        """Return what one running cell takes."""
        return cls(1, round(claim.cpus * _NANO), claim.memory_bytes)

    @classmethod
    def limit(cls, capacity: Capacity) -> Load:
        """Return what all running cells may take together."""
        return cls(
            math.inf if capacity.jobs is None else capacity.jobs,
            math.inf if capacity.cpus is None else max(1, round(capacity.cpus * _NANO)),
            math.inf if capacity.memory_bytes is None else capacity.memory_bytes,
        )

    def plus(self, other: Load) -> Load:
        """Return both together."""
        return Load(
            self.jobs + other.jobs,
            self.nano_cpus + other.nano_cpus,
            self.memory_bytes + other.memory_bytes,
        )

    def minus(self, other: Load) -> Load:
        """Return what is left without `other`."""
        return Load(
            self.jobs - other.jobs,
            self.nano_cpus - other.nano_cpus,
            self.memory_bytes - other.memory_bytes,
        )

    def common(self, other: Load) -> Load:
        """Return what is in both, the lesser amount of everything."""
        return Load(
            min(self.jobs, other.jobs),
            min(self.nano_cpus, other.nano_cpus),
            min(self.memory_bytes, other.memory_bytes),
        )

    def within(self, limit: Load) -> bool:
        """Whether this is at most the limit, of everything."""
        return (
            self.jobs <= limit.jobs
            and self.nano_cpus <= limit.nano_cpus
            and self.memory_bytes <= limit.memory_bytes
        )

    def share(self, limit: Load) -> float:
        """Return the part of the limit that this is, of what it takes the largest part of."""
        return max(
            self.jobs / limit.jobs,
            self.nano_cpus / limit.nano_cpus,
            self.memory_bytes / limit.memory_bytes,
        )


NOTHING = Load(0, 0, 0)
