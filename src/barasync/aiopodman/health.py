"""Whether a container works: the check that one is made with, and what podman tells of checks.

Podman executes a check when it is asked to, and at its interval where systemd runs on the service's
host, by whose timers it is asked; elsewhere nothing does (measured on 4.3.1 and 5.4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

HEALTHY = "healthy"
UNHEALTHY = "unhealthy"

_NANOSECONDS = 1_000_000_000
NO_CHECK = "NONE"
"""The `test` of settings that take the place of an image's check, with nothing to execute."""

_SHELL = "CMD-SHELL"
_SECONDS = 30.0
_RETRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """What is executed in a container to tell whether it works: it does where that ends with 0.

    `command` is executed as it is, or by the container's `/bin/sh -c` where it is a text. It fails
    if it takes longer than `timeout`, and podman waits for its end all the same (measured on 4.3.1
    and 5.4.2). After `retries` failures in a row podman calls the container unhealthy, not counting
    those in the `start_period`. With an `interval` podman has systemd execute the check so often,
    where there is one. All times are in seconds.

    Raises:
        ValueError: there is no command, or a number is too small.
    """

    command: tuple[str, ...] | str
    interval: float = 0.0
    timeout: float = 3600.0
    retries: int = 1
    start_period: float = 0.0

    def __post_init__(self) -> None:
        if not self.command:
            raise ValueError("a health check has a command")
        if self.interval < 0 or self.start_period < 0:
            raise ValueError("the times of a health check are not negative")
        # A timeout of 0 podman takes as it is: no check is that fast.
        if self.timeout <= 0 or self.retries < 1:
            raise ValueError("the timeout and the retries of a health check are positive")

    def to_body(self) -> dict[str, object]:
        """Return podman's `healthconfig`."""
        command = self.command
        return {
            "Test": [_SHELL, command] if isinstance(command, str) else ["CMD", *command],
            "Interval": round(self.interval * _NANOSECONDS),
            "Timeout": round(self.timeout * _NANOSECONDS),
            "Retries": self.retries,
            "StartPeriod": round(self.start_period * _NANOSECONDS),
        }


class HealthSettings(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The check that a container or an image has; times in nanoseconds.

    `test` begins with `CMD` or `CMD-SHELL`, or is `NONE` alone.
    """

    test: list[str] = []
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0

    @property
    def checks(self) -> bool:
        """Whether there is something to be executed."""
        return bool(self.test) and self.test[0] != NO_CHECK

    def as_check(self) -> HealthCheck | None:
        """Return it as what a container can be made with, `None` where nothing is executed.

        A number that is missing, or 0, is what podman's builder writes for it: 30 s and 3 retries.
        """
        if not self.checks:
            return None
        kind, *words = self.test
        if not words:
            return None
        return HealthCheck(
            command=" ".join(words) if kind == _SHELL else tuple(words),
            interval=self.interval / _NANOSECONDS or _SECONDS,
            timeout=self.timeout / _NANOSECONDS or _SECONDS,
            retries=self.retries or _RETRIES,
            start_period=self.start_period / _NANOSECONDS,
        )


class HealthResult(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a health check came to: its exit code, 1 for any other than 0, and what it printed.

    The exit code is -1 where it took too long. Podman keeps the first 500 characters, and knows
    nothing of a program that is not there.
    """

    exit_code: int = 0
    output: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The last health checks of a container, five at most, the latest at the end.

    `status` is `starting` until a check has succeeded, or failed too often; then `healthy` or
    `unhealthy`. `failing_streak` counts the failures in a row after the start period. Of a
    container without a check there is no status; 5.4.2 lists one that overrides its image's as
    `reset`.
    """

    status: str = ""
    failing_streak: int = 0
    log: list[HealthResult] = []


class HealthReport(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The answer to `healthcheck`: podman's word for what the check came to."""

    status: str = ""
