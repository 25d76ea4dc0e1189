"""Layers of settings, folded into what a cell works with and where each value came from.

Lowest first: built-in, `[defaults]`, `[config.NAME]`, the entries of `matrix.include`, the
environment, the command line. A higher layer wins:

- a scalar and `command` replace what is below;
- `env` is merged name by name;
- `cap_add`, `secrets`, `volumes`, `caches` and `artifacts` replace within the file, while the
  command line adds to them: the project's own are rarely meant to vanish because one more was
  asked for. A secret of the command line takes the place of one with the same name, a volume of
  one with the same destination, a cache of one with either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from barasync.config.caches import parse_cache
from barasync.config.origin import Origin, Place
from barasync.config.schema import ArtifactsOn, CellSettings, CellTable, WorkspaceMode
from barasync.config.secrets import anchor_secret, parse_secret
from barasync.config.spelling import closest
from barasync.config.values import SETTINGS, parse_settings
from barasync.config.volumes import anchor_volume, parse_volume
from barasync.errors import ConfigError

BUILT_IN = "built-in"
"""The provenance of a setting that no layer gives."""

_PREFIX = "BARASYNC_"
# No BARASYNC_COMMAND, _CAP_ADD, _ENV, _SECRETS, _VOLUMES, _CACHES, _ARTIFACTS or _RETRY_ON: a list
# in a variable needs quoting rules.
_VARIABLES = (
    "image",
    "timeout",
    "stop_grace",
    "memory",
    "cpus",
    "pids",
    "network",
    "workspace",
    "workdir",
    "artifacts_on",
    "artifacts_size",
    "artifacts_files",
    "artifacts_timeout",
    "retries",
)
_CHOICES: Mapping[str, type[StrEnum]] = {"workspace": WorkspaceMode, "artifacts_on": ArtifactsOn}
_NUMBERS = {"timeout", "stop_grace", "cpus", "artifacts_timeout"}
_INTEGERS = {"pids", "artifacts_files", "retries"}
_OPTIONS = {
    "secrets": "--secret",
    "volumes": "--volume",
    "caches": "--cache",
    "artifacts": "--artifact",
}
_ANCHORS = {"secrets": anchor_secret, "volumes": anchor_volume}
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")


@dataclass(frozen=True, slots=True)
class Layer:
    """Parsed settings of one source; `place` names a setting's place, `adds` extends sequences."""

    values: Mapping[str, Any]
    place: Place
    adds: bool = False


@dataclass(frozen=True, slots=True)
class Folded:
    """The settings, and for each the place that decided it.

    `provenance` has the names of the settings as keys, and `env.NAME` for each variable.
    """

    settings: CellSettings
    provenance: Mapping[str, str]


def file_layer(table: CellTable, origin: Origin, *keys: str | int) -> Layer:
    """Return the layer that the table at `keys` of a file makes.

    Raises:
        ConfigError: a value is not allowed, as in `load.parse`, or a relative path of a secret or
            a volume cannot be made absolute.
    """
    place = partial(origin.key, *keys)
    return Layer(_anchored(parse_settings(table, place), place, origin.directory), place)


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return the layer that `BARASYNC_IMAGE`, `_TIMEOUT`, `_MEMORY`… make; empty ones count not.

    Raises:
        ConfigError: a variable has a value that its setting cannot have.
    """
    given: dict[str, Any] = {}
    for name in _VARIABLES:
        if text := environ.get(_variable(name), ""):
            given[name] = _from_text(name, text)
    return Layer(parse_settings(CellTable(**given), _variable), _variable)


def environment_notes(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each variable that looks like a misspelt setting of ours."""
    notes = []
    for variable in sorted(environ):
        name = variable.removeprefix(_PREFIX).lower()
        if variable.startswith(_PREFIX) and name not in _VARIABLES:
            meant = closest(name, _VARIABLES, similarity=0.8)
            if meant is not None:
                notes.append(f"{variable} sets nothing; did you mean {_variable(meant)}?")
    return tuple(notes)


def command_line_layer(
    table: CellTable,
    directory: PurePath | None = None,
    names: Mapping[str, str] | None = None,
) -> Layer:
    """Return the layer of the options.

    Relative paths of secrets and volumes start at `directory`, the working directory. `names`
    replaces how a setting's option is called.

    Raises:
        ConfigError: an option has a value that its setting cannot have.
    """

    def place(*keys: str | int) -> str:
        name = str(keys[0])
        option = f"--{name.replace('_', '-')}"
        return {**_OPTIONS, **(names or {})}.get(name, option)

    return Layer(_anchored(parse_settings(table, place), place, directory), place, adds=True)


def fold(layers: Iterable[Layer]) -> Folded:
    """Lay `layers`, lowest first, over the built-in settings.

    Raises:
        ConfigError: a variable is given twice, as a secret and by `env`.
    """
    values: dict[str, Any] = {}
    env: dict[str, str] = {}
    provenance = {name: BUILT_IN for name in SETTINGS if name != "env"}
    for layer in layers:
        for name, value in layer.values.items():
            if name == "env":
                env.update(value)
                provenance.update((f"env.{key}", layer.place("env", key)) for key in value)
                continue
            kept = _kept(name, values.get(name, ()), value) if layer.adds else ()
            place = layer.place(name)
            provenance[name] = f"{provenance[name]}, {place}" if kept else place
            values[name] = (*kept, *value) if kept else value
    settings = CellSettings(**values, env=MappingProxyType(env))
    _require_one_of_a_name(settings, provenance)
    return Folded(settings, MappingProxyType(provenance))


def _anchored(values: dict[str, Any], place: Place, directory: PurePath | None) -> dict[str, Any]:
    """Return the values with the relative paths of secrets and volumes made absolute."""
    anchored = dict(values)
    for name in _ANCHORS.keys() & values.keys():
        texts: list[str] = []
        for index, text in enumerate(values[name]):
            try:
                texts.append(_ANCHORS[name](text, directory))
            except ValueError as error:
                raise ConfigError(f"{place(name, index)}: {error}") from None
        anchored[name] = tuple(texts)
    return anchored


def _require_one_of_a_name(settings: CellSettings, provenance: Mapping[str, str]) -> None:
    for secret in map(parse_secret, settings.secrets):
        if secret.in_environment and secret.name in settings.env:
            raise ConfigError(
                f"{provenance['secrets']}: the variable {secret.name} is set at "
                f"{provenance[f'env.{secret.name}']} as well"
            )


def _kept(name: str, below: tuple[str, ...], above: tuple[str, ...]) -> tuple[str, ...]:
    """Return the entries of a lower layer that stay when the command line adds its own."""
    if name in {"artifacts", "cap_add"}:
        return tuple(each for each in below if each not in above)
    if name == "secrets":
        names = {parse_secret(text).name for text in above}
        return tuple(text for text in below if parse_secret(text).name not in names)
    if name == "volumes":
        taken = {parse_volume(text).destination for text in above}
        return tuple(text for text in below if parse_volume(text).destination not in taken)
    if name == "caches":
        new = [parse_cache(text) for text in above]
        kept = ((text, parse_cache(text)) for text in below)
        return tuple(text for text, old in kept if not any(each.replaces(old) for each in new))
    return ()


def _variable(*keys: str | int) -> str:
    return f"{_PREFIX}{keys[0]}".upper()


def _from_text(name: str, text: str) -> str | float:
    """Return the text of a variable in the type that the setting has in a file."""
    if name in _NUMBERS:
        if _NUMBER.fullmatch(text) is None:
            raise ConfigError(f"{_variable(name)}: expected a number, got {text!r}")
        return float(text)
    if name in _INTEGERS:
        if not (text.isascii() and text.isdigit() and len(text) <= 12):  # noqa: PLR2004 as _NUMBER
            raise ConfigError(f"{_variable(name)}: expected an integer, got {text!r}")
        return int(text)
    if name in _CHOICES:
        known = [choice.value for choice in _CHOICES[name]]
        if text not in known:
            raise ConfigError(
                f"{_variable(name)}: expected one of {', '.join(known)}, got {text!r}"
            )
        return _CHOICES[name](text)
    return text
