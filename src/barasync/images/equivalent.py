"""The Containerfile that makes what barasync makes of a declared image, for people and builders.

Each image of the chain is a stage. What a Containerfile cannot say is in comments: how an image
that the first stage begins with is made, which stages have no network, and what of the project is
copied.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterator, Mapping

from msgspec import UnsetType

from barasync.config.image_values import is_pattern
from barasync.config.images import chain
from barasync.config.schema import ImageNetwork, ImageTable
from barasync.errors import ConfigError
from barasync.images.bootstrap import recipe_for
from barasync.images.containerfile import Copy, From, Instruction, Run, User, render
from barasync.images.steps import (
    CopyStep,
    PackagesStep,
    ProjectStep,
    RunStep,
    SettingsStep,
    Step,
    steps_of,
)
from barasync.matrix.platforms import Platform, short_name

_ROOT = frozenset({"root", "0", "root:root", "0:0"})


def containerfile_of(
    name: str, images: Mapping[str, ImageTable], platform: Platform, *, heredocs: bool = False
) -> str:
    """Return a Containerfile for the declared image `name`, to be built in the project's directory.

    `images` have been checked. `heredocs` is for podman 4.8 and newer. Packages are installed as
    root where an image of the chain says that its user is another; who the user of an image from
    elsewhere is, a Containerfile cannot ask.

    Raises:
        ConfigError: the bootstrap's table cannot be meant, or what is copied has a name that would
            be a pattern.
        ImageError: the bootstrap's distribution has no port to the platform.
    """
    command = f"podman build --platform {platform} --file - . < CONTAINERFILE"
    parts = [f"# {name} for {platform}, in the project's directory: {command}\n"]
    user: str | None = None
    for each in chain(name, images):
        table = images[each]
        comments = "".join(f"# {line}\n" for line in _comments(each, table, platform))
        base = From(_begin(each, table, images, platform), _stage(each))
        parts.append(comments + render([base, *_instructions(table, user)], heredocs=heredocs))
        user = _user_after(table, user)
    return "\n".join(parts)


def _begin(
    name: str, table: ImageTable, images: Mapping[str, ImageTable], platform: Platform
) -> str:
    if not isinstance(table.from_, UnsetType):
        return _stage(table.from_) if table.from_ in images else table.from_.removeprefix("sha256:")
    if not isinstance(table.bootstrap, UnsetType):
        return recipe_for(name, table.bootstrap, platform).reference
    return _built(name, platform)


def _built(name: str, platform: Platform) -> str:
    return f"localhost/{name}:{short_name(platform)}-containerfile"


def _stage(name: str) -> str:
    """Return the name of an image's stage: one that begins with a digit would be a number."""
    return f"image-{name}" if name[0].isdigit() else name


def _comments(name: str, table: ImageTable, platform: Platform) -> Iterator[str]:
    if not isinstance(table.bootstrap, UnsetType):
        yield f"made by: barasync image bootstrap {name} --arch {short_name(platform)}"
    if not isinstance(table.containerfile, UnsetType):
        context = "." if isinstance(table.context, UnsetType) else posixpath.normpath(table.context)
        words = ["podman", "build", "--platform", f"{platform}", "--tag", _built(name, platform)]
        words += ["--file", posixpath.normpath(table.containerfile), context]
        yield f"made by: {shlex.join(words)}"
    for step in steps_of(table):
        if isinstance(step, CopyStep) and step.source.startswith("/"):
            yield f"not in the project, where a builder looks for it: {step.source!r}"
    executes = any(isinstance(step, PackagesStep | RunStep) for step in steps_of(table))
    if table.network is ImageNetwork.NONE and executes:
        yield "without a network: podman build --network none"
    if table.project:
        yield "barasync copies the project without what git or .containerignore says to ignore"


def _instructions(table: ImageTable, user: str | None) -> Iterator[Instruction]:
    """Yield what is laid on an image whose user is `user`, `None` where nothing says."""
    for step in steps_of(table):
        other = None if user is None or user in _ROOT else user
        user = _user_of(step, user)
        match step:
            case PackagesStep() if other is not None:
                yield from (*step.instructions, User(other))
            case PackagesStep(script=script):
                yield from (*step.settings, Run(script))
            case CopyStep(source) if is_pattern(source):
                raise ConfigError(
                    f"a Containerfile has no way to copy {source!r}, which is a pattern there",
                    hint="give the file another name, or copy the directory that it is in",
                )
            case ProjectStep(destination):
                yield from (*step.settings, Copy(".", destination, other or ""))
            case _:
                yield from step.instructions


def _user_after(table: ImageTable, user: str | None) -> str | None:
    """Return the user of an image whose base has `user`; `None` where nothing says."""
    for step in steps_of(table):
        user = _user_of(step, user)
    return user


def _user_of(step: Step, user: str | None) -> str | None:
    if not isinstance(step, SettingsStep):
        return user
    return next((each.name for each in reversed(step.settings) if isinstance(each, User)), user)
