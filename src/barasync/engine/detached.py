"""Containers that outlive the command that made them: how they are to go on, and how to tell one.

A container is made under the name of its attempt, as any other, and renamed once it runs. Until
then `barasync clean` takes it for what it is where its run was killed; from then on neither `clean`
nor the sweep at a run's end touches it, nor what of the run it needs. The name is all there is to
it: labels cannot be changed, and no file knows what another machine sees of the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from barasync.aiopodman import HealthCheck, Podman
from barasync.engine.identity import ATTEMPT, CELL, RUN
from barasync.errors import ConfigError
from barasync.images.failures import explained
from barasync.matrix.cells import Cell

SUFFIX = "-detached"
"""What the name of a container ends with that outlives its command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthNumbers:
    """What is to be changed of a `HealthCheck`; `None` is not."""

    interval: float | None = None
    timeout: float | None = None
    retries: int | None = None
    start_period: float | None = None

    def over(self, check: HealthCheck) -> HealthCheck:
        """Return a check with these numbers in place of its own."""
        return HealthCheck(
            command=check.command,
            interval=check.interval if self.interval is None else self.interval,
            timeout=check.timeout if self.timeout is None else self.timeout,
            retries=check.retries if self.retries is None else self.retries,
            start_period=check.start_period if self.start_period is None else self.start_period,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Detachment:
    """How the container of a cell is to go on by itself.

    `health_check` takes the place of that of its image. Without one it is that of the image, with
    `health_numbers` in place of its own. The container is let go as soon as it runs, or once it is
    healthy where `wait_seconds` has a bound for that. Meanwhile its check is executed `every` so
    many seconds, and the last word is podman's, who counts failures; without a number it is in
    growing pauses up to a second, for all of the time.
    """

    health_check: HealthCheck | None = None
    health_numbers: HealthNumbers = HealthNumbers()
    wait_seconds: float | None = None
    every: float | None = None


async def health_check_of(
    detachment: Detachment, podman: Podman, image: str, name: str
) -> HealthCheck | None:
    """Return the health check that a container is to be made with, `None` for none.

    `image` is the ID of the image that the cell has, below a layer of the project's files, which
    has no check, and `name` what it was asked for by. Podman takes a check as a whole: of one that
    is to have other numbers the image has to be asked for the rest.

    Raises:
        ConfigError: there are numbers, and the image has no check.
        ImageError, EngineUnavailable: podman does not tell.
    """
    if detachment.health_check is not None:
        return detachment.health_check
    with explained(f"looking at the health check of image {name}"):
        settings = (await podman.images.inspect(image)).health_check
    check = None if settings is None else settings.as_check()
    if check is not None:
        return detachment.health_numbers.over(check)
    if detachment.health_numbers != HealthNumbers():
        raise without_check("there is no health check that the numbers could be for", name)
    return None


def without_check(what: str, name: str) -> ConfigError:
    """Return the error of a container that takes a health check, and its image has none."""
    return ConfigError(
        f"{what}: {name} has no health check",
        hint="give one with --health-cmd; images in OCI's format have none, whatever their"
        " Containerfile says",
    )


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
