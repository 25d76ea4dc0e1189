"""Keys and types of a configuration file against the schema, with the place of what is wrong.

msgspec's own errors write a table's key as `[...]`. This walk over the same type information names
the real key, and what it says is allowed is read from the schema, so it cannot be out of date.
"""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import Repr
from typing import TypeGuard

from msgspec import inspect

from barasync.config.origin import Place
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError

_WORDS: Mapping[type[inspect.Type], str] = {
    inspect.StrType: "a string",
    inspect.IntType: "an integer",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.StructType: "a table",
}
_PLURALS = {"a string": "strings", "a table": "tables"}
_PYTHON: Mapping[type[inspect.Type], tuple[type, ...]] = {
    inspect.StrType: (str,),
    inspect.IntType: (int,),
    inspect.FloatType: (int, float),
    inspect.BoolType: (bool,),
    inspect.StructType: (dict,),
    inspect.DictType: (dict,),
    inspect.ListType: (list,),
}
# TOML's integers have 64 bits; Python's have no end.
_INTEGERS = range(-(2**63), 2**63)
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


def check(data: object, kind: inspect.Type, place: Place, *path: str | int) -> None:
    """Raise for the first key or type in `data` that `kind` does not allow.

    `data` is what `tomllib` returns; `path` is where it lies below `place`.

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong type; the message names the
            key, the hint what is allowed.
    """
    if isinstance(data, int) and data not in _INTEGERS:
        raise ConfigError(f"{place(*path)}: {_SHORT.repr(data)} is too large for TOML")
    if not _fits(data, kind):
        raise ConfigError(
            f"{place(*path)}: expected {describe(kind)}, got {_shown(data)}",
            hint=_spelling_hint(data, kind),
        )
    _check_inside(data, _chosen(data, kind), place, *path)


def _chosen(data: object, kind: inspect.Type) -> inspect.Type:
    """Return which one of several types fits the data."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    return next(item for item in kind.types if _fits(data, item))


def _check_inside(data: object, kind: inspect.Type, place: Place, *path: str | int) -> None:
    if isinstance(kind, inspect.StructType) and _is_table(data):
        _check_keys(data, kind, place, *path)
        for item in kind.fields:
            if item.encode_name in data:
                _check_level(data[item.encode_name], item, kind, place, *path)
                check(data[item.encode_name], item.type, place, *path, item.encode_name)
    elif isinstance(kind, inspect.DictType) and _is_table(data):
        for key, value in data.items():
            check(value, kind.value_type, place, *path, key)
    elif isinstance(kind, inspect.ListType) and _is_list(data):
        for index, value in enumerate(data):
            check(value, kind.item_type, place, *path, index)


def describe(kind: inspect.Type) -> str:
    """Say in words what a type allows: "a list of strings", "a string or an integer"."""
    match kind:
        case inspect.UnionType(types=types):
            return " or ".join(describe(item) for item in types)
        case inspect.EnumType(cls=cls):
            return "one of " + ", ".join(f"'{item.value}'" for item in cls)
        case inspect.ListType(item_type=item, min_length=least):
            return f"{'a non-empty list' if least else 'a list'} of {_plural(item)}"
        case inspect.DictType(value_type=item):
            return f"a table of {_plural(item)}"
        case _:
            return _WORDS[type(kind)]


def _plural(kind: inspect.Type) -> str:
    words = describe(kind)
    return _PLURALS.get(words, f"values, each {words}")


def _fits(data: object, kind: inspect.Type) -> bool:
    """Tell whether the outermost type is right; what is inside is for the walk."""
    if isinstance(kind, inspect.UnionType):
        return any(_fits(data, item) for item in kind.types)
    if isinstance(kind, inspect.EnumType):
        return isinstance(data, str) and any(item.value == data for item in kind.cls)
    if isinstance(data, bool) and not isinstance(kind, inspect.BoolType):
        return False  # Python counts a bool as an int; TOML does not.
    if isinstance(kind, inspect.ListType) and isinstance(data, list):
        return len(data) >= (kind.min_length or 0)
    return isinstance(data, _PYTHON[type(kind)])


def _check_keys(
    data: dict[str, object], kind: inspect.StructType, place: Place, *path: str | int
) -> None:
    known = [item.encode_name for item in kind.fields]
    for key in data:
        if key in known:
            continue
        message = f"{place(*path, key)}: unknown key"
        table = _table_with(key, kind)
        if table is not None:
            raise ConfigError(message, hint=f"it belongs at {place(*path, table, key)}")
        allowed = f"allowed here: {', '.join(sorted(known))}"
        raise ConfigError(message + did_you_mean(key, known), hint=allowed)
    for item in kind.fields:
        if item.required and item.encode_name not in data:
            raise ConfigError(
                f"{place(*path, item.encode_name)}: missing; {describe(item.type)} is needed here"
            )


def _check_level(
    value: object, item: inspect.Field, kind: inspect.StructType, place: Place, *path: str | int
) -> None:
    """Refuse a setting that stands where a table of its name is: `network`, at the top."""
    name = item.encode_name
    table = None if _fits(value, item.type) else _table_with(name, kind)
    if table is not None:
        raise ConfigError(
            f"{place(*path, name)}: expected {describe(item.type)}, got {_shown(value)}",
            hint=f"the setting belongs at {place(*path, table, name)}",
        )


def _table_with(key: str, kind: inspect.StructType) -> str | None:
    """Name the table that `key` stands one too high for: `defaults`, for `image` at the top."""
    for item in kind.fields:
        if isinstance(item.type, inspect.StructType) and any(
            inner.encode_name == key for inner in item.type.fields
        ):
            return item.encode_name
    return None


def _spelling_hint(data: object, kind: inspect.Type) -> str | None:
    """Say how TOML writes what was probably meant."""
    if isinstance(kind, inspect.ListType) and isinstance(data, str):
        return 'a list is written ["…", "…"]'
    if isinstance(kind, inspect.StrType) and isinstance(data, int | float):
        return f'a string has quotes: "{str(data).lower()}"'
    return None


def _shown(data: object) -> str:
    match data:
        case bool():
            return "true" if data else "false"
        case str():
            return f"the string {_SHORT.repr(data)}"
        case int() | float():
            return f"the number {_SHORT.repr(data)}"
        case list():
            return "a list" if data else "an empty list"
        case dict():
            return "a table"
        case _:
            return f"the date or time {data}"


def _is_table(data: object) -> TypeGuard[dict[str, object]]:
    return isinstance(data, dict)


def _is_list(data: object) -> TypeGuard[list[object]]:
    return isinstance(data, list)
