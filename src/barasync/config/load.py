"""Find and read `barasync.toml`, or `[tool.barasync]` in `pyproject.toml`.

`find` and `load` touch the file system; `parse` is pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, inspect

from barasync.config.defined import lay_over, parse_definitions
from barasync.config.images import check_images
from barasync.config.networks import check_networks
from barasync.config.origin import FILE_NAME, PYPROJECT_NAME, PYPROJECT_TABLE, Origin
from barasync.config.schema import Document
from barasync.config.structure import check
from barasync.config.values import check_config_name, parse_settings
from barasync.errors import ConfigError

_TOML_PLACE = re.compile(r" \(at (?:(line \d+, column \d+)|end of document)\)$")


def find(directory: Path) -> Path | None:
    """Return the configuration file of the project that `directory` lies in.

    The nearest folder upwards holds it. In the same folder `barasync.toml` wins over a
    `pyproject.toml`, and a `pyproject.toml` without `[tool.barasync]` is none of ours.

    Raises:
        ConfigError: it cannot be told whether there is one.
    """
    start = directory.absolute()
    for folder in (start, *start.parents):
        for path in (folder / FILE_NAME, folder / PYPROJECT_NAME):
            if _is_file(path) and (path.name == FILE_NAME or _mentions_us(path)):
                return path
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be looked for: {error.strerror}") from None


def load(path: Path) -> Document:
    """Read and parse a configuration file.

    Raises:
        ConfigError: the file cannot be read, or what it says is not allowed.
    """
    return parse(_read(path), Origin.of(path))


def load_with(
    path: Path | None,
    definitions: Sequence[str],
    directory: Path,
    called: Mapping[str, str] | None = None,
) -> tuple[Document, Origin]:
    """Return what a configuration file says with `--define` laid over it, and where it is from.

    Without a file (`None`) the definitions alone are what it says. Their relative paths start at
    the absolute `directory`. `called` is what people call images that only definitions declare.

    Raises:
        ConfigError: as `load`; or a definition cannot be meant, and the message begins with that.
    """
    origin = Origin() if path is None else Origin.of(path)
    text = "" if path is None else _read(path)
    parsed = parse_definitions(definitions, _schema())
    data = _checked(text, origin)
    project = directory if path is None else path.parent
    laid = lay_over(data, parsed, directory=directory, project=project)
    ours = {k: v for k, v in (called or {}).items() if ("images", k) in laid.defined}
    origin = replace(origin, defined=laid.defined, called=ours)
    return _document(laid.data, origin), origin


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}, as TOML has to be") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def parse(text: str, origin: Origin) -> Document:
    """Return what a configuration file says, with every value checked.

    Raises:
        ConfigError: a syntax error (with its line), an unknown key, a wrong type or a bad value;
            the message begins with the file and the key.
    """
    return _document(_checked(text, origin), origin)


def _checked(text: str, origin: Origin) -> dict[str, Any]:
    """Return the tables of a file, of whose keys and types all are allowed."""
    data: Any = _parse_toml(text, origin)
    for key in origin.table:
        data = data.get(key, {}) if isinstance(data, dict) else data
    check(data, _schema(), origin.key)
    tables: dict[str, Any] = data
    return tables


def _document(data: dict[str, Any], origin: Origin) -> Document:
    if origin.defined:
        check(data, _schema(), origin.key)
    document = msgspec.convert(data, Document)
    _check_values(document, origin)
    return document


@cache
def _schema() -> inspect.Type:
    return inspect.type_info(Document)


def _parse_toml(text: str, origin: Origin) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        last = text.rstrip().count("\n") + 1
        where = (place and place[1]) or f"line {last}, at its end"
        what = _TOML_PLACE.sub("", str(error))
        raise ConfigError(f"{origin.file}: {where}: not TOML: {what}") from None
    except ValueError:
        # Python refuses to read a number of more than 4,300 digits.
        raise ConfigError(f"{origin.file}: there is a number too large for TOML") from None
    except RecursionError:
        raise ConfigError(f"{origin.file}: the values are nested too deeply") from None


def _check_values(document: Document, origin: Origin) -> None:
    parse_settings(document.defaults, partial(origin.key, "defaults"))
    for name, table in document.config.items():
        check_config_name(name, origin.key("config", name))
        parse_settings(table, partial(origin.key, "config", name))
    check_images(document.images, origin)
    check_networks(document, origin)
    matrix = document.matrix
    for index, name in enumerate(matrix.config):
        check_config_name(name, origin.key("matrix", "config", index))
    for index, exclude in enumerate(matrix.exclude):
        if exclude.arch is UNSET and exclude.config is UNSET:
            where = origin.key("matrix", "exclude", index)
            raise ConfigError(
                f"{where}: names neither an arch nor a config, so every cell would be left out"
            )
    for index, include in enumerate(matrix.include):
        if include.config is not UNSET:
            check_config_name(include.config, origin.key("matrix", "include", index, "config"))
        parse_settings(include, partial(origin.key, "matrix", "include", index))


def _mentions_us(path: Path) -> bool:
    """Tell whether a `pyproject.toml` has our table, or is broken and seems to have it.

    A file that cannot be read or parsed and does not name the table is somebody else's problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError):
        return f"[{'.'.join(PYPROJECT_TABLE)}" in text
    tool = data.get("tool")
    return isinstance(tool, dict) and "barasync" in tool
