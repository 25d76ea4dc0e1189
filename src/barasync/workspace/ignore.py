r"""What an ignore file leaves out of a project that is in no git repository.

The patterns are Docker's, not git's: a pattern is a path from the project's root, so `*.o` names
files in the root only and `**/*.o` those anywhere. What it matches is left out with everything
below, until a later pattern with `!` takes something in again; the last that matches a path or a
directory above decides. `*` and `?` stop at a `/`, `**` does not, `[a-z]` and `[^a-z]` are sets,
`\` takes the next character literally, `#` begins a comment at the beginning of a line.

Source: docs.docker.com, "Build context", ".dockerignore files"; moby/patternmatcher at 1d6a3f4. Two
things are otherwise here: `\d` is the letter d there a digit, and `^` outside of a set is itself.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from barasync.errors import ConfigError

IGNORE_FILES = (".barasyncignore", ".containerignore", ".dockerignore")
"""Where patterns are looked for, in the root of the project: the first that is there counts."""

_MOST_BYTES = 1 << 20

_ITEM = r"(?:\\.|[^\\\]-])"
_TOKEN = re.compile(
    rf"(?P<deep>\*\*/?)|(?P<star>\*)|(?P<one>\?)|\\(?P<escaped>.)|(?P<plain>[^\\\[])"
    rf"|\[(?P<other>\^?)(?P<items>(?:{_ITEM}(?:-{_ITEM})?)+)\]",
    re.DOTALL,
)
_RANGE = re.compile(rf"(?P<low>{_ITEM})(?:-(?P<high>{_ITEM}))?", re.DOTALL)
_SPECIAL = re.compile(r"[*?\[\\]")

Matches = tuple[bool, ...]
"""For each pattern, whether it matches a path or a directory above."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A line of the file; `literal` is what every path that it matches begins with."""

    regex: re.Pattern[str]
    takes_in: bool
    literal: str


class Ignore:
    """The patterns of an ignore file, in their order; without any nothing is left out.

    Paths are relative, with `/`, undecodable bytes as surrogate escapes.
    """

    def __init__(self, patterns: Iterable[_Pattern] = ()) -> None:
        self._patterns = tuple(patterns)
        self.nothing: Matches = (False,) * len(self._patterns)

    @classmethod
    def of(cls, root: Path) -> Ignore:
        """Read the ignore file of a project, if it has one.

        Raises:
            ConfigError: it cannot be read, or one of its patterns is none.
        """
        for name in IGNORE_FILES:
            path = root / name
            try:
                return cls.parse(_text(path), path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        return cls()

    @classmethod
    def parse(cls, text: str, path: Path) -> Ignore:
        """Read patterns, one a line; `path` is for messages.

        Raises:
            ConfigError: a line is not a pattern.
        """
        patterns = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            if line.startswith("#") or not line.strip():
                continue
            try:
                patterns.append(_parse(line.strip()))
            except ValueError as error:
                raise ConfigError(f"{path}: line {number}: {line.strip()!r} {error}") from None
        return cls(patterns)

    def matches(self, path: str, above: Matches) -> Matches:
        """Match a path; `above` are the matches of its directory, `nothing` in the root."""
        return tuple(
            matched or pattern.regex.fullmatch(path) is not None
            for pattern, matched in zip(self._patterns, above, strict=True)
        )

    def leaves_out(self, matches: Matches) -> bool:
        """Tell whether a path with these matches is left out."""
        deciding = (
            pattern
            for pattern, matched in zip(reversed(self._patterns), reversed(matches), strict=True)
            if matched
        )
        return not next(deciding, _NONE).takes_in

    def may_take_in_below(self, directory: str) -> bool:
        """Tell whether something below a directory that is left out may belong to the project."""
        inside = f"{directory}/"
        return any(
            pattern.takes_in
            and (pattern.literal.startswith(inside) or inside.startswith(pattern.literal))
            for pattern in self._patterns
        )


_NONE = _Pattern(re.compile(""), takes_in=True, literal="")


def _text(path: Path) -> str:
    """Read an ignore file; a pipe in its place is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        data = os.read(descriptor, _MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {_MOST_BYTES} bytes")
    return os.fsdecode(data)


def _parse(text: str) -> _Pattern:
    takes_in = text.startswith("!")
    cleaned = _clean(text.removeprefix("!").strip() if takes_in else text)
    if not cleaned:
        raise ValueError("names nothing")
    special = _SPECIAL.search(cleaned)
    return _Pattern(
        regex=_compile(cleaned),
        takes_in=takes_in,
        literal=cleaned if special is None else cleaned[: special.start()],
    )


def _clean(pattern: str) -> str:
    """Return a pattern without what says nothing in a path: `/` at its ends, `.`, `a/..`."""
    return posixpath.normpath(pattern).lstrip("/") or "/" if pattern else ""


def _compile(pattern: str) -> re.Pattern[str]:
    tokens = _tokens(pattern)
    kinds = [str(token.lastgroup) for token in tokens]
    texts = [_translated(token, last=token is tokens[-1]) for token in tokens]
    _settle_stars(kinds, texts)
    if kinds[0] == "deep" and set(kinds[1:]) == {"plain"} and tokens[0][0] == "**":
        texts[0] = ".*"  # `**.o` is whatever ends so
    try:
        return re.compile("".join(texts), re.DOTALL)
    except re.error as error:
        raise ValueError(f"has a set that is none: {error.msg}") from None


def _settle_stars(kinds: Sequence[str], texts: list[str]) -> None:
    """Have each `*` that another one follows take as little as it can, once and for all.

    What lies between them is best found as early as possible, so nothing is lost; and with more of
    them the time for a name that does not match would grow by its length with each.
    """
    begun: int | None = None
    for index, kind in enumerate(kinds):
        if kind == "star":
            if begun is not None:
                texts[begun] = f"(?>{texts[begun]}?"
                texts[index - 1] += ")"
            begun = index
        elif kind == "deep":
            begun = None


def _tokens(pattern: str) -> Sequence[re.Match[str]]:
    tokens: list[re.Match[str]] = []
    position = 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None:
            raise ValueError(f"cannot be read from {pattern[position:]!r} on")
        tokens.append(token)
        position = token.end()
    return tokens


def _translated(token: re.Match[str], *, last: bool) -> str:
    match token.lastgroup:
        case "deep":
            return ".*" if last else "(?:.*/)?"
        case "star":
            return "[^/]*"
        case "one":
            return "[^/]"
        case "items":
            return f"[{token['other']}{_RANGE.sub(_range, token['items'])}]"
        case kind:
            assert kind is not None, "every alternative has a name"
            return re.escape(token[kind])


def _range(found: re.Match[str]) -> str:
    ends = (found["low"], found["high"])
    return "-".join(re.escape(end.removeprefix("\\")) for end in ends if end is not None)
