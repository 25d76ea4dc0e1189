"""What a plan asks of a host, and what the host gives: the scheduler's tasks and capacity."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from barasync.config.schema import CellSettings
from barasync.engine.claims import Capacity, Claim
from barasync.engine.exclusion import Uses
from barasync.engine.history import History
from barasync.engine.scheduler import Task
from barasync.matrix.caches import caches_of
from barasync.matrix.cells import Cell, cell_id
from barasync.matrix.plan import Plan
from barasync.matrix.platforms import ARCHITECTURES, Platform

# cibuildwheel's users measured 6 to 10 times; the first duration that is known replaces it.
EMULATION_FACTOR = 8.0

_UNKNOWN_SECONDS = 1.0
_CPUS_WITHOUT_LIMIT = 1.0
_MEMORY_SHARE = 0.9


def capacity(
    *,
    host_cpus: float,
    host_memory_bytes: int,
    jobs: int | None = None,
    cpus_total: float | None = None,
    memory_total_bytes: int | None = None,
) -> Capacity:
    """Return what all cells may take together of the host that runs them.

    By default that is its CPUs, and its memory less a tenth for everything else. Who gives a number
    of `jobs` and no `cpus_total` means that number, whatever CPUs there are; memory still counts.
    """
    if cpus_total is None and jobs is None:
        cpus_total = host_cpus
    if memory_total_bytes is None:
        memory_total_bytes = int(host_memory_bytes * _MEMORY_SHARE)
    return Capacity(jobs=jobs, cpus=cpus_total, memory_bytes=memory_total_bytes)


def claim(settings: CellSettings) -> Claim:
    """Return what a cell takes: its limits, one CPU without one, no memory without one.

    Its services add theirs; one without a limit of CPUs mostly waits for the cell.
    """
    cpus = _CPUS_WITHOUT_LIMIT if settings.cpus is None else settings.cpus
    services = settings.services
    return Claim(
        cpus=cpus + sum(service.cpus or 0.0 for service in services),
        memory_bytes=(settings.memory or 0) + sum(service.memory or 0 for service in services),
    )


def uses(cell: Cell) -> Uses:
    """Return what a cell cannot use beside every other: its caches."""
    caches = caches_of(cell)
    return Uses(
        alone=frozenset(each.key for each in caches if not each.is_shared),
        shared=frozenset(each.key for each in caches if each.is_shared),
    )


def tasks(plan: Plan, history: History, *, native: Platform, fail_fast: bool) -> tuple[Task, ...]:
    """Return the cells of a plan as the scheduler takes them, in the plan's order.

    `native` is the platform of the host that runs them. Under `fail_fast` the cells that did not
    pass last time go first: they are the likeliest to end the run.
    """
    expectations = _Expectations(plan, history, native)
    return tuple(
        Task(
            id=cell.id,
            claim=claim(cell.settings),
            uses=uses(cell),
            expected_seconds=expectations.seconds(cell),
            priority=1 if fail_fast and history.failed(*_key(plan, cell)) else 0,
        )
        for cell in plan.cells
    )


def _key(plan: Plan, cell: Cell) -> tuple[str, str]:
    """Return the rule and the cell of the matrix by which the history knows a cell."""
    return (plan.rule if cell.rule is None else cell.rule), cell.matrix_id


class _Expectations:
    """How long cells are to be expected to take, from the best that is known.

    That is their own duration, else that of the same configuration on other architectures, else
    what is usual in the plan, else one second; the last three times `EMULATION_FACTOR` for a
    foreign architecture. Every architecture but the host's own counts as foreign, although some
    processors run the 32-bit one as well: that guess lasts until the cell has run.
    """

    def __init__(self, plan: Plan, history: History, native: Platform) -> None:
        self._plan = plan
        self._history = history
        self._native = native
        self._siblings: dict[tuple[str, str | None], float | None] = {}
        known = (self._as_native(*_key(plan, cell), cell.platform) for cell in plan.cells)
        self._usual = _median(known) or _UNKNOWN_SECONDS

    def seconds(self, cell: Cell) -> float:
        rule, own_id = _key(self._plan, cell)
        own = self._history.seconds(rule, own_id)
        if own is not None:
            return own
        kind = rule, cell.config
        if kind not in self._siblings:
            self._siblings[kind] = self._sibling(*kind)
        of_sibling = self._siblings[kind]
        seconds = self._usual if of_sibling is None else of_sibling
        return seconds * self._factor(cell.platform)

    def _sibling(self, rule: str, config: str | None) -> float | None:
        """Return what a configuration takes on a native architecture, from every one it ran on."""
        return _median(
            self._as_native(rule, cell_id(row.name, config), row.platform) for row in ARCHITECTURES
        )

    def _as_native(self, rule: str, cell: str, platform: Platform) -> float | None:
        seconds = self._history.seconds(rule, cell)
        return None if seconds is None else seconds / self._factor(platform)

    def _factor(self, platform: Platform) -> float:
        return 1.0 if platform.architecture == self._native.architecture else EMULATION_FACTOR


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
