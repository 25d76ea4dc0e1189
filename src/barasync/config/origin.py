"""Where a setting was written, as the messages and the provenance of a plan name it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Protocol

FILE_NAME = "barasync.toml"
PYPROJECT_NAME = "pyproject.toml"
PYPROJECT_TABLE = ("tool", "barasync")
DEFINE = "--define"
"""The option that gives a setting as if the file had it."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Place(Protocol):
    """Names the place of a setting for a person: `place("timeout")`, `place("env", "PROFILE")`."""

    def __call__(self, *keys: str | int) -> str:
        """Name the place of the setting that `keys` lead to."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """A configuration file.

    `file` is its name as messages show it, `table` the keys that lead to its settings. Relative
    paths in it start at `directory`, which is absolute; `None` where there is no such folder.
    `defined` are the keys of what the command line has laid over it. `called` is what people call
    images that are of the command line alone, by their names there.
    """

    file: str = FILE_NAME
    table: tuple[str, ...] = ()
    directory: PurePath | None = None
    defined: frozenset[tuple[str, ...]] = frozenset()
    called: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, path: PurePath) -> Origin:
        """Return the origin of a `barasync.toml`, or of the table in a `pyproject.toml`."""
        table = PYPROJECT_TABLE if path.name == PYPROJECT_NAME else ()
        return cls(path.name, table, path.parent if path.is_absolute() else None)

    def key(self, *keys: str | int) -> str:
        """Name a key as `barasync.toml: matrix.include[0].timeout`; an `int` is a list index.

        One of the command line is `--define network.web.allow`, the entries of a list alike, unless
        it is of an image that people call otherwise.
        """
        match keys:
            case ("images", str(name), *others) if name in self.called:
                return image_key(self.called, name, *others)
        if self.defines(*keys):
            return f"{DEFINE} {dotted(*(key for key in keys if isinstance(key, str)))}"
        return f"{self.file}: {dotted(*self.table, *keys)}" if keys or self.table else self.file

    def defines(self, *keys: str | int) -> bool:
        """Tell whether a key, or a table that it is in, is of the command line."""
        return any(keys[:end] in self.defined for end in range(1, len(keys) + 1))


def image_key(called: Mapping[str, str], name: str, *keys: str | int) -> str:
    """Name a key of a declared image without its file: `images.web.from`.

    It is `image 'web:1': from` where `called` has what people call it.
    """
    if name not in called:
        return dotted("images", name, *keys)
    where = f"image '{called[name]}'"
    return f"{where}: {dotted(*keys)}" if keys else where


def dotted(*keys: str | int) -> str:
    """Return a key path as TOML writes it, with quotes where a key is not a bare one.

    Source: TOML 1.0, "Keys"; the index of a list element in brackets is ours.
    """
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            quoted = key if _BARE_KEY.fullmatch(key) else _quote(key)
            path += f".{quoted}" if path else quoted
    return path


def _quote(key: str) -> str:
    """Put a key in quotes so that a control character cannot disturb a terminal."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped)
    return '"' + "".join(shown) + '"'
