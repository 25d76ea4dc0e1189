"""What a person reads when a command cannot do its work."""

from __future__ import annotations

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

    An exception group that holds one error is that error: which task of a group failed is ours to
    know. Podman errors that nobody handled mean that podman refused; whatever is neither a podman
    error nor ours is a defect.
    """
    leaf = _leaf(error)
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


def _leaf(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        inner: tuple[Exception, ...] = error.exceptions
        error = next((each for each in inner if isinstance(each, BarasyncError)), inner[0])
    return error


def _text(message: str, hint: str | None) -> str:
    text = f"barasync: {message}\n"
    return text if hint is None else f"{text}  hint: {hint}\n"
