"""How long the phases of an attempt take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Phases:
    """Durations in seconds by phase, as they are measured."""

    clock: Callable[[], float]
    durations: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the duration of the block to the phase `name`."""
        started = self.clock()
        try:
            yield
        finally:
            elapsed = self.clock() - started
            self.durations[name] = self.durations.get(name, 0.0) + elapsed
