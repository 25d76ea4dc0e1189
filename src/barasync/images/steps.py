"""From an image's table to the steps that make it.

Whatever their order in the file, they are done so that what changes rarely comes first: settings
(`env`, `workdir`), packages (`toolchain`, `dev`, `packages`), each `copy`, `project`, each `run`,
and the last settings (`user`, `labels`). The first settings are part of the step that follows them:
an image of their own would cost a container and a commit, and spare no step that one, for what
comes after it is another step with every change of them.

Where the table says `steps`, they are done in the order in which they are written: what
`toolchain` and `dev` ask for before them, `labels` at their end.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from msgspec import UnsetType

from barasync.config.copies import Copy as CopyEntry
from barasync.config.image_steps import Account, Directory, Package, Script, Variable
from barasync.config.image_values import is_pattern
from barasync.config.images import image_copies, written_steps
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
    if table.steps:
        return tuple(_as_written(table))
    env = [Env(name, value) for name, value in sorted(table.env.items())]
    where = () if isinstance(table.workdir, UnsetType) else (Workdir(table.workdir),)
    who = () if isinstance(table.user, UnsetType) else (User(table.user),)
    labels = _labels(table)
    first, last = (*env, *where), (*who, *labels)
    working = list(_working(table))
    if working:
        working[0] = replace(working[0], settings=first)
    else:
        last = (*first, *last)
    return (*working, SettingsStep(last)) if last else tuple(working)


def _as_written(table: ImageTable) -> Iterator[Step]:
    """Yield what `steps` says; settings are part of the step that follows them, if they can be."""
    waiting: list[Setting] = []
    for working in _working_as_written(table):
        if isinstance(working, Env | Workdir | User):
            waiting.append(working)
            continue
        first = tuple(each for each in waiting if isinstance(each, Env | Workdir))
        if len(first) == len(waiting):
            yield replace(working, settings=first)
        else:
            # Whom a step is executed as is its image's user, or root.
            yield SettingsStep(tuple(waiting))
            yield working
        waiting.clear()
    last = (*waiting, *_labels(table))
    if last:
        yield SettingsStep(last)


def _working_as_written(table: ImageTable) -> Iterator[Working | Env | Workdir | User]:
    if _has_tools(table):
        yield _packages(table)
    for kind, group in groupby(written_steps(table), type):
        if kind is Package:
            names = tuple(dict.fromkeys(each.name for each in group if isinstance(each, Package)))
            yield PackagesStep(names, install_script(names), table.network)
            continue
        for entry in group:
            match entry:
                case Script(text):
                    yield RunStep(_stripped(text), table.network)
                case Variable(name, value):
                    yield Env(name, value)
                case Directory(path):
                    yield Workdir(path)
                case Account(name):
                    yield User(name)
                case CopyEntry(source, destination):
                    yield CopyStep(source, destination)


def _labels(table: ImageTable) -> list[Label]:
    return [Label(name, value) for name, value in sorted(table.labels.items())]


def changes_of(step: Step, *, literal: bool) -> tuple[str, ...]:
    """Return what podman's commit takes for a step's settings; `literal` as for `change` there."""
    return tuple(change(setting, literal=literal) for setting in step.settings)


def _working(table: ImageTable) -> Iterator[Working]:
    """Yield the steps that do something with files, in order."""
    if table.packages or _has_tools(table):
        yield _packages(table)
    for copy in image_copies(table):
        yield CopyStep(copy.source, copy.destination)
    if table.project:
        yield ProjectStep()
    for script in table.run:
        yield RunStep(_stripped(script), table.network)


def _has_tools(table: ImageTable) -> bool:
    return table.dev or not isinstance(table.toolchain, UnsetType)


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
    one must not pass for what can be made without. Of a copy from outside of the project only the
    name counts: where it lies says nothing of what it is.
    """
    if isinstance(step, CopyStep) and step.source.startswith("/"):
        step = replace(step, source=posixpath.basename(step.source))
    written = _written(step)
    match step:
        case RunStep() | PackagesStep():
            return f"network {step.network.value}\n{written}"
        case _:
            return written


def _written(step: Step) -> str:
    if isinstance(step, CopyStep) and is_pattern(step.source):
        # A Containerfile has no way to say it.
        copied = f"COPY {json.dumps([step.source, step.destination])}\n"
        return f"{render(step.settings)}{copied}"
    return render(step.instructions)


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
            title = _written(replace(step, settings=()))
    return one_line(f"{title} (with {settings})" if settings else title, most=_LONGEST_TITLE)
