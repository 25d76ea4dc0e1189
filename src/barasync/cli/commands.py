"""Commands by name, each loaded when it is named: one command's options cost the others nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from barasync.cli.optional_values import OptionalValues

Command = TyperCommand | TyperGroup


def group_of(modules: Mapping[str, str]) -> type[TyperGroup]:
    """Return the class of a group, for `typer.Typer(cls=…)`, whose commands are in `modules`.

    Each is given as `MODULE:NAME`, in the order of the help: a function, or the `typer.Typer` of a
    group or of one that is parsed in another way. A command that is named loads its own module;
    help and completion load all of them.
    """

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = _Commands(modules)

    return Group


class _Commands(MutableMapping[str, Any]):
    """The commands of a group; its names are known without loading any."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = dict(modules)
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            module, _, attribute = self._modules[name].partition(":")
            self._loaded[name] = _command(name, getattr(import_module(module), attribute))
        return self._loaded[name]

    def __setitem__(self, name: str, command: Command) -> None:
        raise TypeError(f"the commands of a group are declared with it, not so {name}")

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"the commands of a group are declared with it, so {name} stays")

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


def _command(name: str, declared: Any) -> Command:
    if isinstance(declared, typer.Typer):
        made = typer.main.get_command(declared)
        assert isinstance(made, Command), "typer makes one of both"
        made.name = name
        return made
    alone = typer.Typer(add_completion=False)
    alone.command(name, cls=OptionalValues)(declared)
    command = typer.main.get_command(alone)
    assert isinstance(command, TyperCommand), "typer makes one of a single function"
    return command
