"""Settings of a command line as a file would have them: `--define TABLE.NAME.KEY=VALUE`.

What a key is, and of which type its value, is read from the schema. A value is text: it is read as
the type that the key has in a file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from msgspec import inspect

from barasync.config.image_steps import COPY
from barasync.config.origin import DEFINE, dotted
from barasync.config.secrets import anchor_secret
from barasync.config.spelling import closest, did_you_mean
from barasync.config.structure import describe
from barasync.config.volumes import anchor_volume
from barasync.errors import ConfigError

Keys = tuple[str, ...]

_TABLES = ("config", "images", "network")
_FEWEST = 3
"""A table, a name in it and a key."""
_SIMILAR = 0.8
"""A word of a name is more often its own than a misspelt key."""
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}
_ANCHORS = {"volumes": anchor_volume, "secrets": anchor_secret}


@dataclass(frozen=True, slots=True)
class Definition:
    """A value and the keys that lead to it; one entry of the list there where it `adds`."""

    keys: Keys
    value: str | float | bool
    adds: bool = False


@dataclass(frozen=True, slots=True)
class Laid:
    """What a file says with definitions laid over it, and where those are.

    `defined` has the keys of each definition, and those of tables that the file does not have.
    """

    data: dict[str, Any]
    defined: frozenset[Keys]


def parse_definitions(texts: Sequence[str], schema: inspect.Type) -> tuple[Definition, ...]:
    """Read `TABLE.NAME.KEY=VALUE`, and `TABLE.NAME.KEY.NAME=VALUE` where the key is a table.

    `schema` is the type of a whole file. NAME may have dots: KEY is the first of the keys that can
    stand there.

    Raises:
        ConfigError: there is no such table or key, or the value is not of its type.
    """
    return tuple(_parse(text, schema) for text in texts)


def lay_over(
    data: Mapping[str, Any],
    definitions: Sequence[Definition],
    *,
    directory: PurePath,
    project: PurePath,
) -> Laid:
    """Lay definitions, in their order, over `data`, what a file says, already checked.

    The first entry of a list takes the place of what the file has there, the others follow it; an
    empty first one leaves nothing of it. Relative paths of this host start at `directory`. Those of
    images become relative to `project` where they lie in it, and absolute elsewhere. Both
    directories are absolute.
    """
    laid: dict[str, Any] = deepcopy(dict(data))
    begun: set[Keys] = set()
    defined: set[Keys] = set()
    for each in definitions:
        table, name, *_ = each.keys
        defined |= {each.keys} if name in data.get(table, {}) else {each.keys, (table, name)}
        place = laid
        for key in each.keys[:-1]:
            place = place.setdefault(key, {})
        last = each.keys[-1]
        if not each.adds:
            place[last] = each.value
        elif each.keys in begun:
            place[last].append(each.value)
        else:
            begun.add(each.keys)
            place[last] = [] if each.value == "" else [each.value]
    for table, name, *keys in begun | defined:
        if keys:
            _anchor(laid[table][name], (table, *keys), directory, project)
    return Laid(laid, frozenset(defined))


def _parse(text: str, schema: inspect.Type) -> Definition:
    path, equals, value = text.partition("=")
    words = path.split(".")
    if not equals or len(words) < _FEWEST or "" in words[:_FEWEST]:
        raise ConfigError(
            f"{DEFINE}: {path!r} is not TABLE.NAME.KEY=VALUE",
            hint=f"for example {DEFINE} network.web.allow=443/tcp",
        )
    table, *rest = words
    kind = _table(table, schema)
    end = _end_of_name(rest, kind)
    keys = [table, ".".join(rest[:end])]
    found = _walk(kind, rest[end:], keys)
    adds = isinstance(found, inspect.ListType)
    if isinstance(found, inspect.ListType):
        found = found.item_type
    if isinstance(found, inspect.StructType):
        raise ConfigError(f"{DEFINE} {dotted(*keys)}: a list of tables, which only a file can have")
    return Definition(tuple(keys), _value(value, found, f"{DEFINE} {dotted(*keys)}"), adds)


def _table(name: str, schema: inspect.Type) -> inspect.StructType:
    if name not in _TABLES:
        raise ConfigError(
            f"{DEFINE}: there is no table {name!r} for it{did_you_mean(name, _TABLES)}",
            hint=f"it is one of {', '.join(_TABLES)}; other settings have options of their own",
        )
    assert isinstance(schema, inspect.StructType), "a file is a table"
    kind = next(each.type for each in schema.fields if each.encode_name == name)
    assert isinstance(kind, inspect.DictType), "its tables are named"
    assert isinstance(kind.value_type, inspect.StructType), "as they are"
    return kind.value_type


def _end_of_name(words: Sequence[str], kind: inspect.StructType) -> int:
    """Return how many words are the name of a table: a key, and what belongs to it, follow."""
    fields = {each.encode_name: each.type for each in kind.fields}
    places = range(1, len(words))
    for place in places:
        found = fields.get(words[place])
        if found is not None and _is_table(found) is (place + 1 < len(words)):
            return place
    known = (place for place in places if words[place] in fields)
    nearly = (place for place in places if closest(words[place], fields, similarity=_SIMILAR))
    return next(known, next(nearly, 1))


def _walk(kind: inspect.Type, words: Sequence[str], keys: list[str]) -> inspect.Type:
    """Return the type that the words lead to from a table; `keys` grow by them."""
    waiting = list(words)
    while waiting:
        if isinstance(kind, inspect.StructType):
            key = waiting.pop(0)
            keys.append(key)
            kind = _field(key, kind, f"{DEFINE} {dotted(*keys)}")
        elif isinstance(kind, inspect.DictType):
            keys.append(".".join(waiting))
            kind, waiting = kind.value_type, []
        else:
            raise ConfigError(
                f"{DEFINE} {dotted(*keys)}: expected {describe(kind)}, and no key below it",
                hint=f"write {DEFINE} {dotted(*keys)}=VALUE",
            )
    if _is_table(kind):
        raise ConfigError(
            f"{DEFINE} {dotted(*keys)}: expected {describe(kind)}",
            hint=f"write {DEFINE} {dotted(*keys)}.NAME=VALUE",
        )
    return kind


def _field(key: str, kind: inspect.StructType, where: str) -> inspect.Type:
    fields = {each.encode_name: each.type for each in kind.fields}
    if key not in fields:
        raise ConfigError(
            f"{where}: unknown key{did_you_mean(key, fields)}",
            hint=f"allowed here: {', '.join(sorted(fields))}",
        )
    return fields[key]


def _is_table(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.StructType | inspect.DictType)


def _value(text: str, kind: inspect.Type, where: str) -> str | float | bool:
    """Return a text in the type that its key has in a file."""
    value: str | float | bool | None
    match kind:
        case inspect.BoolType():
            value = _BOOLEANS.get(text)
        case inspect.IntType():
            value = int(text) if _INTEGER.fullmatch(text) else None
        case inspect.FloatType():
            value = float(text) if _NUMBER.fullmatch(text) else None
        case _:
            value = text
    if value is None:
        raise ConfigError(f"{where}: expected {describe(kind)}, got {text!r}")
    return value


def _anchor(table: dict[str, Any], keys: Keys, directory: PurePath, project: PurePath) -> None:
    """Have a path of this host start where it was meant to; what is none is refused later."""
    match keys:
        case ("config", ("volumes" | "secrets") as key):
            table[key] = [_anchored(key, text, directory) for text in table[key]]
        case ("images", ("containerfile" | "context") as key):
            table[key] = _from_project(table[key], directory, project)
        case ("images", "copy") if "containerfile" in table or "context" not in table:
            table["copy"] = [_copy(text, directory, project) for text in table["copy"]]
        case ("images", "steps") if "containerfile" in table or "context" not in table:
            table["steps"] = [_step(text, directory, project) for text in table["steps"]]
        case _:
            pass


def _anchored(key: str, text: str, directory: PurePath) -> str:
    try:
        return _ANCHORS[key](text, directory)
    except ValueError:
        return text


def _copy(text: str, directory: PurePath, project: PurePath) -> str:
    source, colon, destination = text.rpartition(":")
    return f"{_from_project(source, directory, project)}{colon}{destination}" if source else text


def _step(text: str, directory: PurePath, project: PurePath) -> str:
    kind, blank, said = text.partition(" ")
    return f"{kind}{blank}{_copy(said, directory, project)}" if kind == COPY else text


def _from_project(path: str, directory: PurePath, project: PurePath) -> str:
    if not path:
        return path
    found = PurePath(posixpath.normpath(directory / path))
    return str(found.relative_to(project) if found.is_relative_to(project) else found)
