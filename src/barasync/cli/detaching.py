"""`barasync run --detach`: what is asked for, and what a container that goes on can have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from barasync.config.bounds import BadValue, check_duration
from barasync.config.layers import BUILT_IN
from barasync.errors import ConfigError

if TYPE_CHECKING:
    from barasync.engine.detached import Detachment
    from barasync.matrix.plan import Plan

_PANEL = "Detached"
# Podman's own, for a check without numbers.
_INTERVAL_SECONDS = 30.0
_TIMEOUT_SECONDS = 30.0
_RETRIES = 3

Detach = Annotated[
    bool,
    typer.Option(
        "--detach",
        "-d",
        help="Print the container's name as soon as it runs, and leave it to itself.",
        rich_help_panel=_PANEL,
    ),
]
WaitHealthy = Annotated[
    float | None,
    typer.Option(
        "--wait-healthy",
        help="Only once it is healthy; else end it after SECONDS, 60 by default.",
        metavar="[=SECONDS]",
        rich_help_panel=_PANEL,
    ),
]
HealthCmd = Annotated[
    str | None,
    typer.Option(
        "--health-cmd",
        help="Its health check: a line for its /bin/sh, or words as a JSON list.",
        metavar="COMMAND",
        rich_help_panel=_PANEL,
    ),
]
HealthInterval = Annotated[
    float | None,
    typer.Option(
        "--health-interval",
        help="Seconds between checks, 30 by default.",
        metavar="SECONDS",
        rich_help_panel=_PANEL,
    ),
]
HealthTimeout = Annotated[
    float | None,
    typer.Option(
        "--health-timeout",
        help="Seconds after which a check has failed, 30 by default.",
        metavar="SECONDS",
        rich_help_panel=_PANEL,
    ),
]
HealthRetries = Annotated[
    int | None,
    typer.Option(
        "--health-retries",
        help="Failures in a row that make it unhealthy, 3 by default.",
        metavar="N",
        rich_help_panel=_PANEL,
    ),
]
HealthStartPeriod = Annotated[
    float | None,
    typer.Option(
        "--health-start-period",
        help="Seconds from the start in which failures do not count.",
        metavar="SECONDS",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options of a command line say of a container that is to go on; times in seconds."""

    detach: Detach = False
    wait_healthy: WaitHealthy = None
    health_cmd: HealthCmd = None
    health_interval: HealthInterval = None
    health_timeout: HealthTimeout = None
    health_retries: HealthRetries = None
    health_start_period: HealthStartPeriod = None

    @property
    def numbers(self) -> Mapping[str, float | None]:
        """Those of a check, by their options."""
        return {
            "--health-interval": self.health_interval,
            "--health-timeout": self.health_timeout,
            "--health-retries": self.health_retries,
            "--health-start-period": self.health_start_period,
        }


def detachment_of(asked: Asked) -> Detachment | None:
    """Return how the container is to go on, `None` where it is not to.

    Raises:
        ConfigError: an option cannot be meant.
    """
    _check(asked)
    if not asked.detach:
        return None
    # It takes the client along, which `--help` does without.
    from barasync.aiopodman import HealthCheck  # noqa: PLC0415 - as said
    from barasync.engine.detached import Detachment, HealthNumbers  # noqa: PLC0415 - as said

    numbers = HealthNumbers(
        interval=asked.health_interval,
        timeout=asked.health_timeout,
        retries=asked.health_retries,
        start_period=asked.health_start_period,
    )
    check = None
    if asked.health_cmd is not None:
        check = numbers.over(
            HealthCheck(
                command=_command(asked.health_cmd),
                interval=_INTERVAL_SECONDS,
                timeout=_TIMEOUT_SECONDS,
                retries=_RETRIES,
            )
        )
    return Detachment(
        health_check=check,
        health_numbers=numbers,
        wait_seconds=asked.wait_healthy,
        every=asked.health_interval,
    )


def _check(asked: Asked) -> None:
    """Refuse options that say nothing, or nothing that can be."""
    seconds = {"--wait-healthy": asked.wait_healthy, **asked.numbers}
    given = [option for option, number in seconds.items() if number is not None]
    if asked.health_cmd is not None:
        given.append("--health-cmd")
    if given and not asked.detach:
        raise ConfigError(f"{given[0]} is for a container that goes on", hint="add --detach")
    if asked.health_retries is not None and asked.health_retries < 1:
        raise ConfigError(f"--health-retries: {asked.health_retries} is not above 0")
    for option, number in seconds.items():
        if number is None or option == "--health-retries":
            continue
        try:
            check_duration(number)
        except BadValue as error:
            raise ConfigError(f"{option}: {error}", hint=error.hint) from None


def _command(text: str) -> tuple[str, ...] | str:
    """Return the words of a JSON list, or else a line for the shell."""
    if not text.strip():
        raise ConfigError("--health-cmd: the command is empty")
    if not text.startswith("["):
        return text
    try:
        words = json.loads(text)
    except ValueError:
        return text
    if not words or not all(isinstance(word, str) for word in words):
        raise ConfigError("--health-cmd: a list of words is expected, such as '[\"true\"]'")
    return tuple(words)


def detached_plan(plan: Plan, refused: Mapping[str, bool]) -> Plan:
    """Return the plan of one container that is to go on, with what is to be said about it.

    `refused` are options that it cannot have, and whether they were given. Without a word on it
    there is no timeout.

    Raises:
        ConfigError: it cannot go on in the environment that was asked for.
    """
    for option, given in refused.items():
        if given:
            raise ConfigError(
                f"{option} cannot be had with --detach: it is for a container that has ended",
                hint="`barasync artifact fetch` and `barasync image snapshot` take a container that"
                " is there",
            )
    from barasync.engine.detached import bound_to_command  # noqa: PLC0415 - as above

    (cell,) = plan.cells
    settings, notes = cell.settings, list(plan.notes)
    if (reason := bound_to_command(cell)) is not None:
        raise ConfigError(
            f"the container cannot go on by itself: {reason}",
            hint="services can be detached as well, on a network that all `join`; a network may"
            " name addresses in place of hosts",
        )
    if settings.secrets:
        notes.append(
            "what it prints of its secrets is not masked in podman's log, nor in what shows that"
        )
    as_command = None if plan.as_command is None else detached_plan(plan.as_command, {})
    if cell.provenance.get("timeout", BUILT_IN) == BUILT_IN:
        settings = replace(settings, timeout=None)
    cells = (replace(cell, settings=settings),)
    return replace(plan, cells=cells, notes=tuple(notes), as_command=as_command)
