"""From an image's table to the steps that make it.

Whatever their order in the file, they are done so that what changes rarely comes first: settings
(`env`, `workdir`), packages (`toolchain`, `dev`, `packages`), each `copy`, `project`, each `run`,
and the last settings (`user`, `labels`).
"""

from __future__ import annotations

from dataclasses import dataclass

from barasync.config.schema import WORKSPACE, ImageNetwork, ImageTable
from barasync.images.containerfile import Copy, Instruction, Run, Setting, User, change, render


@dataclass(frozen=True, slots=True)
class SettingsStep:
    """Settings of the image; no file changes."""

    settings: tuple[Setting, ...]

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it."""
        return self.settings

    @property
    def changes(self) -> tuple[str, ...]:
        """What podman's commit takes for it."""
        return tuple(change(setting) for setting in self.settings)


@dataclass(frozen=True, slots=True)
class PackagesStep:
    """Packages installed as root by `script`, for `/bin/sh -c`; `names` are for people."""

    names: tuple[str, ...]
    script: str
    network: ImageNetwork = ImageNetwork.BRIDGE
    user: str = "root"

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it; whose user it leaves is for who writes the next."""
        return User(self.user), Run(self.script, offline=self.network is ImageNetwork.NONE)


@dataclass(frozen=True, slots=True)
class CopyStep:
    """A file or directory of the project, and the absolute path in the image that it becomes.

    `source` is relative to the project's directory and normalised; it may be a link that leads out
    of the project, which who reads it has to refuse.
    """

    source: str
    destination: str

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it."""
        return (Copy(self.source, self.destination),)


@dataclass(frozen=True, slots=True)
class ProjectStep:
    """The project's files, as the workspace layer has them."""

    destination: str = WORKSPACE

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it."""
        return (Copy(".", self.destination),)


@dataclass(frozen=True, slots=True)
class RunStep:
    """A script for `/bin/sh -c`, as the image's user and in its working directory."""

    script: str
    network: ImageNetwork = ImageNetwork.BRIDGE

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it."""
        return (Run(self.script, offline=self.network is ImageNetwork.NONE),)


Step = SettingsStep | PackagesStep | CopyStep | ProjectStep | RunStep


def steps_of(table: ImageTable) -> tuple[Step, ...]:
    """Return the steps that are laid on the image that `table` begins with, in order."""
    raise NotImplementedError


def text_of(step: Step) -> str:
    """Return the step as a Containerfile has it: equal texts do the same, for a cache's key."""
    return render(step.instructions)


def title_of(step: Step) -> str:
    """Return the step in at most 60 characters for a line of progress: `RUN apt-get update…`."""
    raise NotImplementedError
