"""Somebody who talks to the command of a cell, at a terminal or through a pipe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from barasync.aiopodman import Attachment, Container, ContainerSpec, Podman, is_image_id
from barasync.engine.verdict import Verdict
from barasync.images.failures import explained
from barasync.matrix.outcome import Status

_CHOOSE = "command -v bash >/dev/null 2>&1 && exec bash; exec sh"
CHOSEN_SHELL = ("/bin/sh", "-c", _CHOOSE)
"""Executes the shell of an image for a person: bash where it has one."""

_COMMAND_NOT_FOUND = 127
_KIND = "TERM"
_DIGITS = 12

Converse = Callable[[Attachment, Container], Awaitable[bool]]
"""Carries input and output until either has ended for good; tells whether to let it go on.

It is called once the command runs. Where it returns false the output has ended, or whoever talks
has left: what still runs of the container then is ended.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """How a cell is talked to: with `terminal` its command has one, whose output is one stream.

    `kind` is what programs are told of that (`TERM`), `None` for what podman says.
    """

    converse: Converse
    terminal: bool
    kind: str | None = None


def with_dialogue(spec: ContainerSpec, dialogue: Dialogue) -> ContainerSpec:
    """Return `spec` with an open stdin; without a command the shell of the image is executed.

    That takes the place of the image's entrypoint, which may be no more than a program.
    """
    spec = replace(spec, stdin=True, terminal=dialogue.terminal)
    return spec if spec.command else replace(spec, entrypoint=CHOSEN_SHELL)


async def told_of_terminal(
    dialogue: Dialogue, podman: Podman, image: str, environment: Mapping[str, str]
) -> Mapping[str, str]:
    """Return the environment of a command with the kind of its terminal, unless something sets it.

    `environment` may, and the image, whose ID `image` is.

    Raises:
        ImageError, EngineUnavailable: podman does not tell what the image sets.
    """
    if not dialogue.terminal or dialogue.kind is None or _KIND in environment:
        return environment
    with explained("looking at the environment of the image"):
        settings = (await podman.images.inspect(image)).config.env
    if any(setting.startswith(f"{_KIND}=") for setting in settings):
        return environment
    return {_KIND: dialogue.kind, **environment}


def without_shell(image: str, verdict: Verdict) -> Verdict:
    """Return the verdict on a chosen shell that podman did not find, in words of its own."""
    if verdict.exit_code != _COMMAND_NOT_FOUND:
        return verdict
    if is_image_id(image):
        image = image.removeprefix("sha256:")[:_DIGITS]
    return Verdict(
        status=Status.FAILED,
        exit_code=verdict.exit_code,
        reason=f"image {image} has no shell: there is no {CHOSEN_SHELL[0]} in it",
        hint="give the program to execute: `barasync shell … -- PROGRAM`",
    )
