"""The instructions of a Containerfile, and how they are written.

What is written is read alike by the buildah of podman 4.3.1 and of 5.4.2 (measured on both), and
means what it says whatever characters are in it: nothing in a value is expanded.

A script is written in the first of these forms that can hold it:

1. `RUN SCRIPT`, if it is one line of printable characters that cannot be taken for something else:
   the JSON form, a flag, a comment, a line that goes on, or the beginning of a heredoc;
2. a heredoc, if asked for: only podman 4.8 and newer read it (`quirks.BUILD_KNOWS_NO_HEREDOC`).
   Not if it begins with `#!`, which would make it a program of another interpreter, ends with a
   backslash, or has a line that is too long or holds a control character other than a tab;
3. `RUN ["/bin/sh", "-c", "SCRIPT"]`, broken into lines where the script has them.

The reader takes in no line of 64 KiB: it ends the file there, without an error.

Source: the syntax of Dockerfiles as openshift/imagebuilder reads it, measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import assert_never

_LONGEST_LINE = 8000
"""In characters, each of at most 4 bytes."""
_BREAK = "\\\n"
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_PATH = re.compile(r"[A-Za-z0-9_./@%+=,][A-Za-z0-9_./:@%+=,-]*")
_SPECIAL = re.compile(r"""[\\$"']""")
_PATTERN = re.compile(r"[*?\[\\]")
_ESCAPED = re.compile(r"\\u[0-9a-f]{4}|\\.|.", re.DOTALL)
_COMMENT = re.compile(r"(\s*)#")


@dataclass(frozen=True, slots=True)
class From:
    """The image that a stage begins with, and the stage's name, by which a later one begins."""

    reference: str
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A script for `/bin/sh -c`."""

    script: str


@dataclass(frozen=True, slots=True)
class Copy:
    r"""A file or directory of the context, and the absolute path that it becomes.

    `source` has none of `*?[\`: the reader would take it for a pattern, and has no way to write
    those as what they are (measured). Whose it becomes is root's, or `owner`'s.
    """

    source: str
    destination: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Env:
    """A variable of the environment, its value taken literally; no newline can be in it."""

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
    """A label, its value taken literally; no newline can be in it."""

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
    """Return the Containerfile, with a newline at its end.

    Raises:
        ValueError: an instruction cannot be written: a newline in what has no way to say one, or a
            pattern as the source of a copy.
    """
    return "".join(f"{_written(instruction, heredocs=heredocs)}\n" for instruction in instructions)


def change(setting: Setting, *, literal: bool) -> str:
    """Return the line that podman takes for `setting` in the `changes` of a commit or an import.

    `literal` is how an import reads them, and a commit of a podman that has
    `quirks.COMMIT_CHANGES_ARE_LITERAL`: quotes around a value come off, nothing else is special.

    Raises:
        ValueError: there is a newline where none can be.
    """
    return _setting(setting, literal=literal)


def _written(instruction: Instruction, *, heredocs: bool) -> str:
    match instruction:
        case From(reference, stage):
            written = f"FROM {reference} AS {stage}" if stage else f"FROM {reference}"
        case Run(script):
            written = f"RUN {_script(script, heredocs=heredocs)}"
        case Copy(source, destination, owner):
            flag = f"--chown={owner} " if owner else ""
            written = f"COPY {flag}{_paths(source, destination)}"
        case setting:
            written = _setting(setting)
    return written


def _setting(setting: Setting, *, literal: bool = False) -> str:
    match setting:
        case Env(name, value):
            written = f"ENV {name}={_literal(value) if literal else _word(value)}"
        case Label(name, value):
            written = f"LABEL {name}={_literal(value) if literal else _word(value)}"
        case Workdir(path):
            written = f"WORKDIR {_one_line(path) if literal else _word(path)}"
        case User(name):
            written = f"USER {_one_line(name) if literal else _word(name)}"
        case Cmd(words):
            written = f"CMD {_json(words)}"
        case Entrypoint(words):
            written = f"ENTRYPOINT {_json(words)}"
        case _:
            assert_never(setting)
    return written


def _literal(value: str) -> str:
    return f'"{_one_line(value)}"'


def _word(value: str) -> str:
    """Return a word that the reader neither splits nor expands."""
    if _PLAIN.fullmatch(value):
        return value
    escaped = re.sub(r'[\\$"]', r"\\\g<0>", _one_line(value))
    return f'"{escaped}"'


def _one_line(value: str) -> str:
    if "\n" in value:
        raise ValueError(f"a Containerfile has no way to say {value!r}: there is a newline in it")
    return value


def _paths(source: str, destination: str) -> str:
    if _PATTERN.search(source):
        raise ValueError(f"{source!r} would be read as a pattern")
    if source.startswith("-"):
        source = f"./{source}"
    if _PATH.fullmatch(source) and _PATH.fullmatch(destination):
        return f"{source} {destination}"
    # Each word of the JSON form is read as a shell would read it, once more.
    return _json(_SPECIAL.sub(r"\\\g<0>", path) for path in (source, destination))


def _script(script: str, *, heredocs: bool) -> str:
    if _is_plain(script):
        return script
    lines = script.removesuffix("\n").split("\n")
    if (
        heredocs
        and len(lines) > 1
        and not script.startswith("#!")
        and not script.endswith("\\")
        and all(map(_is_heredoc_line, lines))
    ):
        end = _delimiter(lines)
        return "\n".join((f"<<'{end}'", *lines, end))
    encoded = f"\\n{_BREAK}".join(_broken(_encoded(line)) for line in script.split("\n"))
    return f'["/bin/sh", "-c", "{encoded}"]'


def _is_plain(script: str) -> bool:
    return (
        0 < len(script) < _LONGEST_LINE
        and script.isprintable()
        and script == script.strip()
        and not script.startswith(("[", "#", "--"))
        and not script.endswith("\\")
        and "<<" not in script
    )


def _is_heredoc_line(line: str) -> bool:
    return len(line) < _LONGEST_LINE and line.replace("\t", "").isprintable()


def _delimiter(lines: Iterable[str]) -> str:
    taken = {line.strip() for line in lines}
    names = ("EOF" if number == 0 else f"EOF{number}" for number in count())
    return next(name for name in names if name not in taken)


def _json(words: Iterable[str]) -> str:
    return json.dumps(list(words), ensure_ascii=False)


def _encoded(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _broken(encoded: str) -> str:
    """Return a line of a JSON string as lines that go on in the next, none of them a comment."""
    pieces = [""]
    for character in _ESCAPED.findall(encoded):
        if len(pieces[-1]) < _LONGEST_LINE:
            pieces[-1] += character
            continue
        # A backslash before the one that ends the line would take its meaning away.
        pieces[-1] += "\\u005c" if character == "\\\\" else character
        pieces.append("")
    return _BREAK.join(
        _COMMENT.sub(r"\1\\u0023", piece, count=1) if _COMMENT.match(piece) else piece
        for piece in pieces
    )
