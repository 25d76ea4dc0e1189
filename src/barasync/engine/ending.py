"""The end of a container, as far as podman knows of it.

Podman answers `wait` when a container has ended, and also when it cannot wait any more. A refusal
tells nothing about the container. Where its monitor (conmon) was killed podman goes on saying that
it runs, and nobody will ever know of its end: 5.4.2 then answers `wait` at once, with 0, 4.3.1
after 20 seconds that it has no exit code (measured). Both may have other reasons, so podman's word
is weighed with what can be seen of the monitor from here.
"""

from __future__ import annotations

from enum import Enum, auto

import anyio

from barasync.aiopodman import (
    APIError,
    Container,
    ContainerInspect,
    ProtocolError,
    TransportError,
)

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_LOOKS = 5
_LOOK_PAUSE_SECONDS = 1.0
_AT_ONCE_SECONDS = 1.0
# Podman's cause, once it has looked for the monitor in vain for 20 s.
_NO_EXIT_CODE = "no such exit code"


class NoVerdict(Exception):
    """Nobody can tell how the command ended, or ends; the text says why."""


class MonitorLost(NoVerdict):
    """The monitor of a container is gone, and the container is not."""


class _Answer(Enum):
    """What came of asking podman to wait."""

    ENDED = auto()
    ENDED_AT_ONCE = auto()
    UNKNOWN = auto()
    REFUSED = auto()
    NONE = auto()


async def until_ended(container: Container) -> ContainerInspect:
    """Return the state of a container once it has ended, or once podman went away meanwhile.

    As long as podman refuses to wait it is asked again, with pauses of 2 s at most; put a deadline
    around it.

    Raises:
        MonitorLost: podman has said that it runs, five times in as many seconds, and did not wait
            for its end, or once that it has no exit code after waiting; and no process is to be
            seen here that is its monitor.
        PodmanError: podman does not tell its state.
    """
    looks, pause = 0, _FIRST_PAUSE_SECONDS
    while True:
        answer = await _wait(container)
        state = await container.inspect()
        if state.state.ended or answer is _Answer.NONE:
            return state
        if answer is _Answer.REFUSED:
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            continue
        pause = _FIRST_PAUSE_SECONDS
        alone = answer is not _Answer.ENDED and not await _is_watched(container.id, state)
        looks = looks + 1 if alone else 0
        if alone and (answer is _Answer.UNKNOWN or looks == _LOOKS):
            raise MonitorLost(
                "the monitor of its container (conmon) is gone, so that podman cannot tell how the "
                "command ends; the container was killed"
            )
        await anyio.sleep(_LOOK_PAUSE_SECONDS)


async def _wait(container: Container) -> _Answer:
    began = anyio.current_time()
    try:
        await container.wait()
    except TransportError:
        return _Answer.NONE
    except APIError as error:
        return _Answer.UNKNOWN if error.cause == _NO_EXIT_CODE else _Answer.REFUSED
    except ProtocolError:
        return _Answer.REFUSED
    at_once = anyio.current_time() - began < _AT_ONCE_SECONDS
    return _Answer.ENDED_AT_ONCE if at_once else _Answer.ENDED


async def _is_watched(container: str, state: ContainerInspect) -> bool:
    """Tell whether the monitor is a process that can be seen here.

    Its command line names the container. A process ID of another machine or namespace is nobody's
    here, or belongs to something else.
    """
    try:
        command = await anyio.Path(f"/proc/{state.state.conmon_pid}/cmdline").read_bytes()
    except OSError:
        return False
    return container.encode() in command.split(b"\0")
