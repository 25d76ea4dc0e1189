"""The images that a Containerfile names: what its stages are from, and what they copy from."""

from __future__ import annotations

import re
from collections.abc import Iterator

from barasync.matrix.platforms import Platform

_ENDS_OPEN = re.compile(r"\\[ \t]*$")
_ARG = re.compile(r"(?P<name>\w+)(?:=(?P<value>.*))?")
_VARIABLE = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<braced>\w+)(?::-(?P<default>[^${}]*))?\})")
_COPIED = re.compile(r"--from=(\S+)")
_TRANSPORT = re.compile(
    r"docker://|(?:docker-(?:archive|daemon)|oci(?:-archive)?|dir|containers-storage):"
)
_NO_IMAGE = "scratch"


def bases_of(text: str, platform: Platform) -> tuple[str, ...]:
    """Return the references that are found in FROM and `COPY --from`, each once, in order.

    Variables are those of the ARGs before the first FROM that have a value, and `TARGETARCH` and
    its like. An empty one stands for all that have others in them, are for platforms of their own,
    or lie in files: who asks cannot know those.

    Source: Dockerfile reference, "Understand how ARG and FROM interact"; containers-transports(5).
    """
    known = {
        "TARGETOS": platform.os,
        "TARGETARCH": platform.architecture,
        "TARGETVARIANT": platform.variant,
    }
    stages: set[str] = set()
    found: dict[str, None] = {}
    for keyword, rest in _instructions(text):
        words = rest.split()
        if keyword == "ARG" and not stages and not found:
            _learn(known, rest)
        elif keyword == "FROM":
            flags = [word for word in words if word.startswith("--")]
            operands = [word for word in words if not word.startswith("--")]
            base = _expanded(operands[0], known) if operands else None
            if flags or not base or _TRANSPORT.match(base):
                found[""] = None
            elif base.lower() not in {*stages, _NO_IMAGE}:
                found[base] = None
            named = operands[2].lower() if len(operands) > 2 else ""  # noqa: PLR2004 - X AS NAME
            stages.add(named)
        elif keyword == "COPY" and (copied := _COPIED.search(rest)) is not None:
            base = copied[1]
            if base.lower() not in stages and not base.isdecimal():
                found["" if "$" in base else base] = None
    return tuple(found)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    whole = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#") or not line.strip():
            continue
        whole += _ENDS_OPEN.sub("", line)
        if _ENDS_OPEN.search(line) is None:
            keyword, _, rest = whole.strip().partition(" ")
            yield keyword.upper(), rest.strip()
            whole = ""


def _learn(known: dict[str, str], rest: str) -> None:
    arg = _ARG.fullmatch(rest)
    if arg is None or arg["value"] is None:
        return
    value = _expanded(arg["value"], known)
    if value is not None:
        known[arg["name"]] = value


def _expanded(text: str, known: dict[str, str]) -> str | None:
    """Return a word with its variables, `None` where one of them is not known."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    for variable in _VARIABLE.finditer(text):
        name = variable["plain"] or variable["braced"]
        if name not in known and variable["default"] is None:
            return None

    def value(variable: re.Match[str]) -> str:
        own = known.get(variable["plain"] or variable["braced"], "")
        return own or variable["default"] or ""

    expanded = _VARIABLE.sub(value, text)
    return None if "$" in expanded else expanded
