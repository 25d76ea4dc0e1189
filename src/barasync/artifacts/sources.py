"""What is fetched for the artifacts that were asked for, and where it goes: pure decisions."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from barasync.artifacts.pattern import Pattern, split


@dataclass(frozen=True, slots=True)
class Source:
    """An artifact as it was asked for, and what that means.

    `path` is the absolute path in the container, or the directory above the first wildcard; then
    `pattern` is what is wanted below it.
    """

    text: str
    path: str
    pattern: Pattern | None

    @classmethod
    def parse(cls, text: str, workspace: str) -> Source:
        """Read an artifact; a relative one lies in `workspace`."""
        path, pattern = split(absolute(text, workspace))
        return cls(text, path, pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """An archive to fetch: its path in the container, and where it goes below the destination.

    With `patterns` only what they match is taken of it.
    """

    path: str
    place: str
    patterns: tuple[Pattern, ...] = ()

    def reaches(self, path: str) -> Pattern | None:
        """Return the pattern of a path below this one, `None` if nothing of it is wanted."""
        names = _names_below(path, self.path)
        if self.patterns and not any(pattern.reaches(names) for pattern in self.patterns):
            return None
        return Pattern.literal(names)

    def within(self, source: Source) -> Pattern | None:
        """Return what of this fetch a source means that comes with it, `None` for all of it."""
        if source.pattern is None and source.path == self.path:
            return None
        names = _names_below(source.path, self.path)
        return Pattern.literal(names) if source.pattern is None else source.pattern.below(names)


def absolute(source: str, workspace: str) -> str:
    """Return a source's path in the container, normalised: `out/` is `/workspace/out`."""
    return "/" + posixpath.normpath(posixpath.join("/", workspace, source)).lstrip("/")


def plan(sources: Sequence[Source]) -> tuple[Fetch, ...]:
    """Decide what to fetch and where it goes, so that no two fetches meet on this machine.

    Each path arrives under its last name, what a pattern matches under the last name of the
    directory above its first wildcard. Where two would have the same, all of them keep their whole
    path below the destination (`/a/out` and `/b/out` arrive as `a/out` and `b/out`), and one that
    lies below another comes with that one. Patterns below one directory, or below a path that is
    fetched anyway, are one fetch. What is below `/` itself is not fetched.
    """
    wanted = _wanted(sources)
    names = [posixpath.basename(path) for path in wanted]
    if len(set(names)) < len(names):
        outer = [path for path in wanted if not any(is_below(path, other) for other in wanted)]
        wanted = {path: _with_inner(path, wanted) for path in outer}
        names = [path.lstrip("/") for path in wanted]
    return tuple(
        Fetch(path=path, place=name, patterns=patterns)
        for (path, patterns), name in zip(wanted.items(), names, strict=True)
    )


def _wanted(sources: Sequence[Source]) -> dict[str, tuple[Pattern, ...]]:
    """Return the paths to fetch in the order of the sources; no patterns for a whole path."""
    whole = {source.path for source in sources if source.pattern is None}
    wanted: dict[str, tuple[Pattern, ...]] = {}
    for source in sources:
        path = source.path
        if path == "/":
            continue
        if source.pattern is None:
            wanted.setdefault(path, ())
        elif not any(path == other or is_below(path, other) for other in whole):
            wanted[path] = tuple(dict.fromkeys((*wanted.get(path, ()), source.pattern)))
    return wanted


def _with_inner(path: str, wanted: Mapping[str, tuple[Pattern, ...]]) -> tuple[Pattern, ...]:
    """Return the patterns of a path with those of the paths below it."""
    if not wanted[path]:
        return ()
    patterns = [*wanted[path]]
    for inner in wanted:
        if is_below(inner, path):
            names = _names_below(inner, path)
            found = wanted[inner] or (Pattern(()),)
            patterns += [pattern.below(names) for pattern in found]
    return tuple(dict.fromkeys(patterns))


def fetch_of(source: Source, fetches: Iterable[Fetch]) -> Fetch | None:
    """Return the fetch that a source is or comes with, `None` where it is not fetched."""
    fetches = tuple(fetches)
    for fetch in fetches:
        if fetch.path == source.path:
            return fetch
    return next((fetch for fetch in fetches if is_below(source.path, fetch.path)), None)


def is_below(path: str, other: str) -> bool:
    """Whether a path lies below another one, which is not `/`."""
    return path.startswith(f"{other}/")


def _names_below(path: str, other: str) -> tuple[str, ...]:
    inner = path.removeprefix(other).strip("/")
    return tuple(inner.split("/")) if inner else ()
