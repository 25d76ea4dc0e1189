"""From an image and the steps on top of it to the image with all of them, for one platform."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from barasync.aiopodman import Podman, Rlimit
from barasync.engine.gate import Gates
from barasync.images.steps import Step
from barasync.matrix.platforms import Platform
from barasync.workspace.tree import Tree

STEP_SECONDS = 6 * 3600.0
"""After this long a step that executes something is taken for one that hangs."""


def _say_nothing(_name: str, _platform: Platform, _line: str) -> None:
    """Have nobody hear of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """What all images of a build share.

    `project` is the directory that copies are from, `tree` gives its files, always the same ones.
    `labels` are those of the containers, by which `barasync clean` finds them, `maker` those of the
    images. `logs` is the directory of `NAME-ARCH.log`, and `locks` that of the files by which
    processes wait for each other. `processors` bounds how many steps execute something at once.

    `on_progress` hears a line for a person at every step, `on_output` every line of what a step
    prints, shortened; both with the image's name and platform. Without `cache` every step is made
    anew, once. `timeout` is how long a step may execute, in seconds.
    """

    podman: Podman
    project: Path
    tree: Callable[[], Awaitable[Tree]]
    labels: Mapping[str, str]
    maker: Mapping[str, str]
    rlimits: tuple[Rlimit, ...]
    logs: Path
    locks: Path
    processors: anyio.CapacityLimiter
    on_progress: Callable[[str, Platform, str], None] = _say_nothing
    on_output: Callable[[str, Platform, str], None] = _say_nothing
    cache: bool = True
    timeout: float = STEP_SECONDS
    gates: Gates = field(default_factory=Gates)
    hurry: anyio.Event = field(default_factory=anyio.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that has all steps: its ID, the key that tells it from others, and what it took.

    `executed` is how many steps were not found. `log` is where their output is, if there was any.
    """

    id: str
    key: str
    executed: int
    log: Path | None


class Builder:
    """Makes images of steps; each step is found or made once, whatever images it is part of."""

    def __init__(self, context: BuildContext) -> None:
        self._context = context

    async def build(
        self, name: str, parent: str, steps: Sequence[Step], platform: Platform
    ) -> Built:
        """Return the image that `steps` make of the image with the ID `parent`.

        `name` is what people call it. May be called for many images at once.

        Raises:
            ImageError: a step fails, or podman refuses one.
            ConfigError: what is to be copied cannot be read, or is not in the project.
            EngineUnavailable: podman does not answer.
        """
        raise NotImplementedError
