"""What podman calls the state of a container, and what a person asks for."""

from __future__ import annotations

from enum import StrEnum

ENDED = frozenset({"stopped", "exited"})
"""What podman calls a container whose command has ended."""
UNSTARTED = frozenset({"created", "configured", "initialized"})
"""What podman calls a container whose command has not begun."""


class State(StrEnum):
    """The states that `container list --state` knows."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    EXITED = "exited"
    REMOVING = "removing"

    def means(self, status: str) -> bool:
        """Tell whether it is that of a container which podman calls `status`.

        Podman has several words for one that has not begun, and for one that has ended.
        """
        match self:
            case State.CREATED:
                return status in UNSTARTED
            case State.EXITED:
                return status in ENDED
        return status == self.value
