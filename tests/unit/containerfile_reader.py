"""Reads a Containerfile as podman does, made from what was measured and not from our writer.

Lines of 64 KiB end the file. A backslash at a line's end joins the next, and comments between are
dropped. Words of settings and of copies are read as a shell would, variables of the environment
expanded; scripts are left alone. Heredocs are those of newer podmans.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_LIMIT = 64 * 1024
_HEREDOC = re.compile(r"<<(['\"]?)(\w+)\1$")


@dataclass(frozen=True)
class Read:
    """An instruction: its keyword, and the words that came out."""

    keyword: str
    words: tuple[str, ...]


def read(text: str) -> list[Read]:
    lines = _lines(text)
    found = []
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        logical = _joined(line, lines)
        keyword, _, rest = logical.strip().partition(" ")
        flags, rest = _flags(keyword, rest.strip())
        found.append(Read(keyword, (*flags, *_words(keyword, rest, lines))))
    return found


def _lines(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        if len(line.encode()) >= _LIMIT:
            return
        yield line.removesuffix("\r")


def _joined(line: str, lines: Iterator[str]) -> str:
    whole = ""
    while (more := re.search(r"(^|[^\\])\\[ \t]*$", line)) is not None:
        whole += line[: more.start() + len(more[1])]
        line = next(following for following in lines if not _is_dropped(following))
    return whole + line


def _is_dropped(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _flags(keyword: str, rest: str) -> tuple[list[str], str]:
    if keyword != "COPY" or not rest.startswith("--"):
        return [], rest
    flag, _, rest = rest.partition(" ")
    return [flag], rest


def _words(keyword: str, rest: str, lines: Iterator[str]) -> Iterator[str]:
    as_list = _json(rest)
    match keyword:
        case "RUN" if as_list is not None:
            yield from as_list
        case "RUN":
            assert not rest.startswith("--")
            heredoc = _HEREDOC.match(rest)
            assert heredoc is not None or "<<" not in rest
            yield from ("/bin/sh", "-c", _heredoc(heredoc[2], lines) if heredoc else rest)
        case "CMD" | "ENTRYPOINT":
            assert as_list is not None
            yield from as_list
        case "ENV" | "LABEL":
            for word in _shell_words(rest):
                yield from word.split("=", 1)
        case "COPY" if as_list is not None:
            for word in as_list:
                yield " ".join(_shell_words(word, split=False))
        case "COPY" | "FROM":
            yield from _shell_words(rest)
        case "WORKDIR" | "USER":
            yield " ".join(_shell_words(rest, split=False))
        case _:
            raise AssertionError(keyword)


def _heredoc(end: str, lines: Iterator[str]) -> str:
    body = []
    for line in lines:
        if line == end:
            return "".join(f"{each}\n" for each in body)
        body.append(line)
    raise AssertionError(end)


def _json(text: str) -> list[str] | None:
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return (
        words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None
    )


def _shell_words(text: str, *, split: bool = True) -> Iterator[str]:
    """Yield the words; a variable becomes `<NAME>`, which no test writes."""
    word, begun, position = "", False, 0
    while position < len(text):
        character = text[position]
        if character in " \t" and split:
            if begun:
                yield word
            word, begun, position = "", False, position + 1
            continue
        begun = True
        piece, position = _piece(text, position)
        word += piece
    if begun:
        yield word


def _piece(text: str, start: int) -> tuple[str, int]:
    """What the quotation, the escape, the variable or the character at `start` stands for."""
    character = text[start]
    if character == "'":
        end = text.index("'", start + 1)
        return text[start + 1 : end], end + 1
    if character == '"':
        piece, position = "", start + 1
        while text[position] != '"':
            if text[position] == "\\" and text[position + 1] in '"$\\':
                piece, position = piece + text[position + 1], position + 2
            elif text[position] == "$":
                piece, position = piece + "<variable>", position + 1
            else:
                piece, position = piece + text[position], position + 1
        return piece, position + 1
    if character == "\\" and start + 1 < len(text):
        return text[start + 1], start + 2
    if character == "$":
        return "<variable>", start + 1
    return character, start + 1
