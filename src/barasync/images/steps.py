"""From an image's table to the steps that make it.

Whatever their order in the file, they are done so that what changes rarely comes first: settings
(`env`, `workdir`), packages (`toolchain`, `dev`, `packages`), each `copy`, `project`, each `run`,
and the last settings (`user`, `labels`). The first settings are part of the step that follows them:
an image of their own would cost a container and a commit, and spare no step that one, for what
comes after it is another step with every change of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
from barasync.terminal_text import one_line

_LONGEST_TITLE = 60

Beginning = Env | Workdir
"""A setting that comes before what a step does, and counts for it."""


@dataclass(frozen=True, slots=True)
class SettingsStep:
    """Settings of the image, where no file changes."""

    settings: tuple[Setting, ...]

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it."""
        return self.settings


@dataclass(frozen=True, slots=True)
class PackagesStep:
    """Packages installed as root by `script`, for `/bin/sh -c`; `names` are for people.

    `settings` come first: they count for the script, and for the image from then on.
    """

    names: tuple[str, ...]
    script: str
    network: ImageNetwork = ImageNetwork.BRIDGE
    user: str = "root"
    settings: tuple[Beginning, ...] = ()

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it; whose user it leaves is for who writes the next."""
        return *self.settings, User(self.user), Run(self.script)


@dataclass(frozen=True, slots=True)
class CopyStep:
    """A file or directory of the project, and the absolute path in the image that it becomes.

    `source` is relative to the project's directory and normalised; it may be a link that leads out
    of the project, which who reads it has to refuse.
    """

    source: str
    destination: str
    settings: tuple[Beginning, ...] = ()

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it."""
        return *self.settings, Copy(self.source, self.destination)


@dataclass(frozen=True, slots=True)
class ProjectStep:
    """The project's files, as the workspace layer has them."""

    destination: str = WORKSPACE
    settings: tuple[Beginning, ...] = ()

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it."""
        return *self.settings, Copy(".", self.destination)


@dataclass(frozen=True, slots=True)
class RunStep:
    """A script for `/bin/sh -c`, as the image's user and in its working directory."""

    script: str
    network: ImageNetwork = ImageNetwork.BRIDGE
    settings: tuple[Beginning, ...] = ()

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """What a Containerfile says for it."""
        return *self.settings, Run(self.script)


Working = PackagesStep | CopyStep | ProjectStep | RunStep
Step = SettingsStep | Working


def steps_of(table: ImageTable) -> tuple[Step, ...]:
    """Return the steps that are laid on the image that `table` begins with, in order.

    `table` has been checked by `config.images`.
    """
    env = [Env(name, value) for name, value in sorted(table.env.items())]
    where = () if isinstance(table.workdir, UnsetType) else (Workdir(table.workdir),)
    who = () if isinstance(table.user, UnsetType) else (User(table.user),)
    labels = [Label(name, value) for name, value in sorted(table.labels.items())]
    first, last = (*env, *where), (*who, *labels)
    working = list(_working(table))
    if working:
        working[0] = replace(working[0], settings=first)
    else:
        last = (*first, *last)
    return (*working, SettingsStep(last)) if last else tuple(working)


def changes_of(step: Step, *, literal: bool) -> tuple[str, ...]:
    """Return what podman's commit takes for a step's settings; `literal` as for `change` there."""
    return tuple(change(setting, literal=literal) for setting in step.settings)


def _working(table: ImageTable) -> Iterator[Working]:
    """Yield the steps that do something with files, in order."""
    if table.packages or table.dev or not isinstance(table.toolchain, UnsetType):
        yield _packages(table)
    for copy in image_copies(table):
        yield CopyStep(copy.source, copy.destination)
    if table.project:
        yield ProjectStep()
    for script in table.run:
        yield RunStep(_stripped(script), table.network)


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
    settings = ", ".join(render([setting]).strip() for setting in step.settings)
    match step:
        case SettingsStep():
            return one_line(settings, most=_LONGEST_TITLE)
        case PackagesStep(names):
            title = f"packages: {', '.join(names)}"
        case ProjectStep(destination):
            title = f"the project to {destination}"
        case RunStep(script):
            title = f"RUN {script}"
        case _:
            title = render([Copy(step.source, step.destination)])
    return one_line(f"{title} (with {settings})" if settings else title, most=_LONGEST_TITLE)
