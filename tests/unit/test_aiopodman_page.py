"""The page of the client: its table says what the code asks for, no more and no less."""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import barasync.aiopodman as client

PROJECT = Path(__file__).parents[2]
CLIENT = PROJECT / "src/barasync/aiopodman"
EXAMPLES = PROJECT / "examples/aiopodman"
PAGE = (PROJECT / "docs/aiopodman.md").read_text()

_ROW = re.compile(r"^\| `(?P<method>[A-Z]+) (?P<path>[^`]+)` \| (?P<ours>[^|]*)\|", re.MULTILINE)
_SOURCE = re.compile(r"`(?:(?P<method>[A-Z]{3,6}) )?(?P<path>/libpod/[^`?]+|…/\w+)`")
_ROOTS = ("containers", "images", "networks", "volumes", "secrets", "pods", "manifests", "exec")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CLASS = re.compile(r"^\| `(?P<owner>Podman\.)?(?P<name>\w+)` \| (?P<methods>.*) \|$", re.MULTILINE)
_PATH = re.compile(r"[\w{}]+(/[\w{}]+)+")
_ALONE = {"build", "commit", "events", "info", "version", "/libpod/_ping"}


def anything(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def in_the_table(*, ours: bool = True) -> set[tuple[str, str]]:
    """Return the endpoints of the table; `ours` are those that the client is said to have."""
    return {
        (row["method"], anything(row["path"]))
        for row in _ROW.finditer(PAGE)
        if bool(row["ours"].strip()) == ours
    }


def named_as_source() -> set[tuple[str, str]]:
    """Return the endpoints that docstrings name as what is asked for."""
    found = set()
    for module in CLIENT.rglob("*.py"):
        method = path = ""
        for match in _SOURCE.finditer(module.read_text()):
            name = match["path"]
            if name[0] == "/" and match["method"] is None:
                continue
            method = match["method"] or method
            path = name if name[0] == "/" else f"{path.rpartition('/')[0]}{name[1:]}"
            found.add((method, anything(path.removeprefix("/libpod/"))))
    return found


def written_in_code() -> set[str]:
    """Return the paths that are put together in code, what is filled in as `{}`."""
    modules = [ast.parse(module.read_text()) for module in CLIENT.rglob("*.py")]
    return {path for module in modules for path in _paths(module)}


def _paths(node: ast.AST) -> Iterator[str]:
    text = _text(node)
    root, slash, _ = text.partition("/")
    if text in _ALONE or (slash and root in {*_ROOTS, "{}"} and _PATH.fullmatch(text)):
        yield text.removeprefix("/libpod/")
    if not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from _paths(child)


def _text(node: ast.AST) -> str:
    match node:
        case ast.JoinedStr(values):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in values]
            return "".join(map(str, parts))
        case ast.Constant(str(text)):
            return text
        # Methods of the handles on a container and on an exec session.
        case ast.Call(ast.Attribute(attr="_path" | "_post"), [ast.Constant(str(action))]):
            return f"{{}}/{action}"
        case ast.Call(ast.Attribute(attr="_path"), []):
            return "containers/{}"
        case _:
            return ""


def is_written(path: str, code: set[str]) -> bool:
    """Tell whether code has a path; one that begins with what is filled in is known by its end."""
    parts = path.split("/")
    for each in code:
        written = each.split("/")
        if written[0] == "{}" and set(written[1:]) != {"{}"}:
            written = ["{}"] * (len(parts) - len(written) + 1) + written[1:]
        fits = len(written) == len(parts) and written[0] in {"{}", parts[0]}
        if fits and all(a in {"{}", b} for a, b in zip(written, parts, strict=True)):
            return True
    return False


def test_the_table_has_what_the_client_asks_for_and_nothing_else() -> None:
    assert in_the_table() == named_as_source()


def test_what_the_client_is_said_to_ask_for_is_in_its_code() -> None:
    code = written_in_code()

    assert [path for _, path in sorted(in_the_table()) if not is_written(path, code)] == []


def test_every_path_in_code_is_in_the_table() -> None:
    listed = {path for _, path in in_the_table()}
    whole = {path for path in written_in_code() if path.split("/")[0] != "{}"}

    assert [
        path for path in sorted(whole) if not any(is_written(each, {path}) for each in listed)
    ] == []


def test_an_endpoint_is_in_the_table_once() -> None:
    rows = [(row["method"], row["path"]) for row in _ROW.finditer(PAGE)]

    assert len(rows) == len(set(rows))
    assert not in_the_table() & in_the_table(ours=False)


def test_what_the_page_shows_is_in_the_examples_which_are_run() -> None:
    programs = [(EXAMPLES / name).read_text() for name in ("hello.py", "tour.py")]

    assert len(_BLOCK.findall(PAGE)) > 1
    assert [
        block for block in _BLOCK.findall(PAGE) if not any(block in each for each in programs)
    ] == []


def test_the_page_shows_all_of_the_tour() -> None:
    tour = ast.parse((EXAMPLES / "tour.py").read_text())
    functions = {each.name for each in tour.body if isinstance(each, ast.AsyncFunctionDef)}

    shown = set(re.findall(r"^async def (\w+)", "".join(_BLOCK.findall(PAGE)), re.MULTILINE))
    assert shown == functions


def _class(owner: str | None, name: str) -> type:
    of_client = typing.get_type_hints(client.Podman)
    found = getattr(client, name) if owner is None else of_client[name]
    assert isinstance(found, type)
    return found


@pytest.mark.parametrize("row", list(_CLASS.finditer(PAGE)), ids=lambda row: row["name"])
def test_the_page_names_every_method_and_no_other(row: re.Match[str]) -> None:
    found = _class(row["owner"], row["name"])
    named = set(re.findall(r"`(\w+)`", row["methods"])) - {"Container"}

    methods = {name for name in dir(found) if name[0] != "_" and callable(getattr(found, name))}
    assert named == methods
