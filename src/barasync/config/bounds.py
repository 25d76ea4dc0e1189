"""What numbers and texts may be, whichever setting they are for."""

from __future__ import annotations

from collections.abc import Mapping

from barasync.config.sizes import parse_size

MOST_BYTES = 2**63 - 1

LONGEST_TIMEOUT = 365 * 24 * 3600.0
"""A year; conmon, which enforces the server-side timeout, keeps its seconds in 32 bits."""

_LEAST_MEMORY = 512 * 1024
"""Less cannot hold a process, and `memory = 2` was meant as something else."""
_LEAST_CPUS = 0.01
"""The kernel refuses a CFS quota below 1 ms in the 100 ms period that podman uses."""
_MOST_CPUS = 8192.0
"""`NR_CPUS` of the largest Linux configuration."""


class BadValue(ValueError):
    """A value that a setting cannot have; `keys` lead to it below the setting."""

    def __init__(self, message: str, *keys: str | int, hint: str | None = None) -> None:
        super().__init__(message)
        self.keys = keys
        self.hint = hint


def check_timeout(seconds: float) -> float | None:
    """Return a time limit, `None` for none.

    Raises:
        BadValue: it is negative, or too long for podman.
    """
    if not 0 <= seconds <= LONGEST_TIMEOUT:
        raise BadValue(
            f"{seconds:.12g} is not a number of seconds between 0 and {LONGEST_TIMEOUT:.0f}",
            hint="0 means no limit",
        )
    return float(seconds) or None


def check_duration(seconds: float) -> float:
    """Return a time that is limited, and not nothing.

    Raises:
        BadValue: it is neither.
    """
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise BadValue(
            f"{seconds:.12g} is not a number of seconds above 0 and up to {LONGEST_TIMEOUT:.0f}"
        )
    return float(seconds)


def check_bytes(size: str | int) -> int:
    """Return a number of bytes, which may be written as a size.

    Raises:
        BadValue: it is not written as one.
    """
    try:
        return parse_size(size) if isinstance(size, str) else size
    except ValueError as error:
        raise BadValue(str(error)) from None


def check_memory(size: str | int) -> int | None:
    """Return a limit of memory in bytes, `None` for none.

    Raises:
        BadValue: it is too small for a process, or no size.
    """
    number = check_bytes(size)
    if number and not _LEAST_MEMORY <= number <= MOST_BYTES:
        meant = "; a bare number is bytes" if 0 < number < _LEAST_MEMORY else ""
        raise BadValue(
            f"{size!r} is not a limit between '512k' and 8 EiB{meant}",
            hint="write a size such as '512m' or '2g'; 0 means no limit",
        )
    return number or None


def check_cpus(cores: float) -> float | None:
    """Return a limit in cores, `None` for none.

    Raises:
        BadValue: the kernel would refuse it.
    """
    if cores != 0 and not (_LEAST_CPUS <= cores <= _MOST_CPUS):
        raise BadValue(
            f"{cores:.12g} is not a number of cores between {_LEAST_CPUS:g} and {_MOST_CPUS:g}",
            hint="0 means no limit",
        )
    return float(cores) or None


def check_image(text: str) -> str:
    """Return what may be the name of a declared image or a reference.

    Raises:
        BadValue: it is neither.
    """
    if not text or text.startswith("-") or any(c.isspace() or not c.isprintable() for c in text):
        raise BadValue(f"{text!r} is neither the name of a declared image nor a reference")
    return text


def check_words(words: list[str]) -> tuple[str, ...]:
    """Return the words of a command.

    Raises:
        BadValue: they name no program, or one has a NUL.
    """
    if not words or not words[0]:
        raise BadValue("a command needs at least the name of a program")
    for index, word in enumerate(words):
        refuse_nul(word, index)
    return tuple(words)


def check_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment.

    Raises:
        BadValue: one has no possible name, or a NUL in its value.
    """
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name:
            raise BadValue(f"{name!r} cannot name an environment variable", name)
        refuse_nul(value, name)
    return dict(variables)


def refuse_nul(text: str, *keys: str | int) -> None:
    """Raise where a text has a NUL character, which no argument of a process can have.

    Raises:
        BadValue: it has; `keys` lead to the text.
    """
    if "\0" in text:
        raise BadValue(f"{text!r} contains a NUL character", *keys)
