"""From an image's table to the steps that make it.

Whatever their order in the file, they are done so that what changes rarely comes first: settings
(`env`, `workdir`), packages (`toolchain`, `dev`, `packages`), each `copy`, `project`, each `run`,
and the last settings (`user`, `labels`).
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UnsetType

from barasync.config.images import image_copies
from barasync.config.schema import WORKSPACE, ImageNetwork, ImageTable
from barasync.images.containerfile import (
    Copy,
    Env,
    Instruction,
    Label,
    Run,
    Setting,
    User,
    Workdir,
    change,
    render,
)
from barasync.images.packages import install_script

_LONGEST_TITLE = 60


@dataclass(frozen=True, slots=True)
class SettingsStep:
    """Settings of the image; no file changes."""

    settings: tuple[Setting, ...]

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it."""
        return self.settings

    def changes(self, *, literal: bool) -> tuple[str, ...]:
        """Return what podman's commit takes for it; `literal` as for `containerfile.change`."""
        return tuple(change(setting, literal=literal) for setting in self.settings)


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
        return User(self.user), Run(self.script)


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
        return (Run(self.script),)


Step = SettingsStep | PackagesStep | CopyStep | ProjectStep | RunStep


def steps_of(table: ImageTable) -> tuple[Step, ...]:
    """Return the steps that are laid on the image that `table` begins with, in order.

    `table` has been checked by `config.images`.
    """
    steps: list[Step] = []
    first = [Env(name, value) for name, value in sorted(table.env.items())]
    where = () if isinstance(table.workdir, UnsetType) else (Workdir(table.workdir),)
    if first or where:
        steps.append(SettingsStep((*first, *where)))
    if table.packages or table.dev or not isinstance(table.toolchain, UnsetType):
        steps.append(_packages(table))
    steps += [CopyStep(copy.source, copy.destination) for copy in image_copies(table)]
    if table.project:
        steps.append(ProjectStep())
    steps += [RunStep(_stripped(script), table.network) for script in table.run]
    who = () if isinstance(table.user, UnsetType) else (User(table.user),)
    last = [Label(name, value) for name, value in sorted(table.labels.items())]
    if who or last:
        steps.append(SettingsStep((*who, *last)))
    return tuple(steps)


def _packages(table: ImageTable) -> PackagesStep:
    names = [] if isinstance(table.toolchain, UnsetType) else [f"{table.toolchain} toolchain"]
    names += ["dev tools"] * table.dev
    script = install_script(table.packages, toolchain=table.toolchain, dev=table.dev)
    return PackagesStep((*names, *dict.fromkeys(table.packages)), script, table.network)


def _stripped(script: str) -> str:
    """Return a script without the lines that TOML's quotes leave empty around it."""
    stripped = script.strip("\n")
    return script if stripped.endswith("\\") else stripped


def text_of(step: Step) -> str:
    """Return what the step is, for a cache's key: equal texts do the same.

    It is what a Containerfile says for it, and the network of what is executed: what was made with
    one must not pass for what can be made without.
    """
    written = render(step.instructions)
    match step:
        case RunStep() | PackagesStep():
            return f"network {step.network.value}\n{written}"
        case _:
            return written


def title_of(step: Step) -> str:
    """Return the step in one line for a person: `RUN apt-get update && apt-get install …`."""
    match step:
        case PackagesStep(names):
            title = f"packages: {', '.join(names)}"
        case ProjectStep(destination):
            title = f"the project to {destination}"
        case _:
            written = (render([instruction]).strip() for instruction in step.instructions)
            title = ", ".join(written) if not isinstance(step, RunStep) else f"RUN {step.script}"
    return _shortened(" ".join(title.split()))


def _shortened(title: str) -> str:
    shown = "".join(char if char.isprintable() else "?" for char in title)
    return shown if len(shown) <= _LONGEST_TITLE else f"{shown[: _LONGEST_TITLE - 1]}…"
