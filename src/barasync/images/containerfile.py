"""The instructions of a Containerfile, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class From:
    """The image that a stage begins with, and the stage's name, by which a later one begins."""

    reference: str
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A script for `/bin/sh -c`; `offline` takes the network away from it."""

    script: str
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """A file or directory of the context, and the absolute path that it becomes."""

    source: str
    destination: str


@dataclass(frozen=True, slots=True)
class Env:
    """A variable of the environment, its value taken literally."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Workdir:
    """The directory that commands start in, an absolute path."""

    path: str


@dataclass(frozen=True, slots=True)
class User:
    """Who commands run as: `NAME`, `UID`, `NAME:GROUP`…"""

    name: str


@dataclass(frozen=True, slots=True)
class Label:
    """A label, its value taken literally."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Cmd:
    """The command of a container that is given none, word by word."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """What the command is given to as arguments, word by word."""

    words: tuple[str, ...]


Setting = Env | Workdir | User | Label | Cmd | Entrypoint
"""An instruction that changes the image's settings only."""

Instruction = From | Run | Copy | Setting


def render(instructions: Iterable[Instruction], *, heredocs: bool = False) -> str:
    """Return the Containerfile, each instruction on its line, with a newline at its end."""
    raise NotImplementedError


def change(setting: Setting) -> str:
    """Return the one line that podman's commit and import take in `changes`."""
    raise NotImplementedError
