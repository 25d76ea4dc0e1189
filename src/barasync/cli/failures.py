"""What a person reads when a command cannot do its work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from barasync.aiopodman import PodmanError
from barasync.errors import BarasyncError, EngineUnavailable, InternalError


@dataclass(frozen=True, slots=True)
class Explanation:
    """The text for stderr and the exit code; `defect` says that a traceback is worth showing."""

    text: str
    exit_code: int
    defect: bool = False


def explain(error: Exception) -> Explanation:
    """Turn an exception that ended a command into what a person needs to know.

    Of the errors in an exception group a defect is told before anything else, and what is ours
    before what is podman's, which often follows from it. Podman errors that nobody handled mean
    that podman refused; whatever is neither a podman error nor ours is a defect.
    """
    leaves = list(_leaves(error))
    known = (BarasyncError, PodmanError)
    defects = [leaf for leaf in leaves if not isinstance(leaf, known)]
    ours = [leaf for leaf in leaves if isinstance(leaf, BarasyncError)]
    leaf = (defects or ours or leaves)[0]
    if isinstance(leaf, BarasyncError):
        return Explanation(_text(str(leaf), leaf.hint), leaf.exit_code)
    if isinstance(leaf, PodmanError):
        hint = "`barasync doctor` shows the service's state"
        return Explanation(_text(f"podman: {leaf}", hint), EngineUnavailable.exit_code)
    return Explanation(
        _text(
            f"{type(leaf).__name__}: {leaf}",
            "this is a defect of barasync; please report the lines above",
        ),
        InternalError.exit_code,
        defect=True,
    )


def is_all(error: Exception, kind: type[Exception]) -> bool:
    """Return whether all that ended a command is of one kind, however many there are."""
    return all(isinstance(leaf, kind) for leaf in _leaves(error))


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _text(message: str, hint: str | None) -> str:
    text = f"barasync: {message}\n"
    return text if hint is None else f"{text}  hint: {hint}\n"
