"""Containers that outlive the command that made them: how they are to go on, and how to tell one.

A container is made under the name of its attempt, as any other, and renamed once it runs. Until
then `barasync clean` takes it for what it is where its run was killed; from then on neither `clean`
nor the sweep at a run's end touches it, nor what of the run it needs. The name is all there is to
it: labels cannot be changed, and no file knows what another machine sees of the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from barasync.aiopodman import HealthCheck
from barasync.engine.identity import ATTEMPT, CELL, RUN
from barasync.matrix.cells import Cell

SUFFIX = "-detached"
"""What the name of a container ends with that outlives its command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detachment:
    """How the container of a cell is to go on by itself.

    `health_check` takes the place of that of its image. It is let go as soon as it runs, or once it
    is healthy where `wait_seconds` has a bound for that. Meanwhile its check is executed `every` so
    many seconds, and the last word is podman's, who counts failures; without a number it is in
    growing pauses up to a second, for all of the time.
    """

    health_check: HealthCheck | None = None
    wait_seconds: float | None = None
    every: float | None = None


def attempt_name(run: str, cell: str, number: int | str) -> str:
    """Return the name of the container of an attempt, while the command lives."""
    return f"barasync-{run}-{cell}-{number}"


def detached_name(name: str) -> str:
    """Return the name under which the container of an attempt, so far `name`, goes on."""
    return name + SUFFIX


def is_detached(names: Iterable[str], labels: Mapping[str, str]) -> bool:
    """Tell whether a container of these names and labels outlives the command that made it.

    The name has to be that of the attempt which its labels tell: a service may be called
    `detached`, and somebody's own container may have the labels of a snapshot.
    """
    try:
        name = attempt_name(labels[RUN], labels[CELL], labels[ATTEMPT])
    except KeyError:
        return False
    return detached_name(name) in names


def bound_to_command(cell: Cell) -> str | None:
    """Say why the container of a cell cannot outlive the command, `None` where it can.

    What a cell needs of this process ends with it: whoever answers for the names of its policy, and
    its services.
    """
    if cell.policy is not None and cell.policy.names:
        return f"network '{cell.policy.name}' names hosts, which only this command resolves"
    if cell.settings.services:
        return "its services end with this command"
    return None
