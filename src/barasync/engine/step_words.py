"""What goes wrong with a step, said to people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from barasync.aiopodman import NotFound, PodmanError, TransportError
from barasync.engine.network_hints import network_hint
from barasync.errors import EngineUnavailable, ImageError
from barasync.terminal_text import one_line

_NO_SPACE = "no space left on device"
_SPACE = (
    "free some space where podman keeps its images (`podman info` says where: graphRoot); "
    "`barasync image prune` removes old ones"
)

# A commit's layer that podman could not write: of the two errors it tells the other one.
_BROKEN_LAYER = "io: read/write on closed pipe"
_MAYBE_SPACE = f"most often no space is left: {_SPACE}"

_NAMED = 3
_NO_USER = "no matching entries in passwd file"
_USER = (
    "the `user` of what the step is laid on is not in its /etc/passwd: make it in a `run` there, "
    "or give its number"
)


@contextmanager
def explained(where: str, doing: str) -> Iterator[None]:
    """Turn podman's errors into ours: `where` names image and step, `doing` what was being done.

    Raises:
        ImageError: podman refused, or was too late.
        EngineUnavailable: it cannot be reached any more.
    """
    try:
        yield
    except TransportError as error:
        raise EngineUnavailable(f"{where}: {doing}: {error}") from error
    except NotFound as error:
        raise ImageError(
            f"{where}: {doing}: {error.cause or error}",
            hint="something else removed it meanwhile; build again",
        ) from error
    except TimeoutError as error:
        reason = str(error) or "podman did not answer in time"
        raise ImageError(f"{where}: {doing}: {reason}") from error
    except PodmanError as error:
        raise ImageError(f"{where}: {doing}: {error}", hint=hint_of(str(error))) from error


def hint_of(reason: str) -> str | None:
    """Return what to do about a reason that podman or a program gave, if that is known."""
    known = {
        _NO_USER: _USER,
        _NO_SPACE: _SPACE,
        _BROKEN_LAYER: _MAYBE_SPACE,
    }
    said = reason.lower()
    return next((hint for text, hint in known.items() if text in said), network_hint(reason))


def left_out(what: str, skipped: Sequence[str]) -> str:
    """Return a note that an image does not get these sockets, pipes and devices of `what`."""
    named = ", ".join(skipped[:_NAMED])
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    return f"note: {what}: left out {one_line(named + more)}: sockets, pipes or devices"
