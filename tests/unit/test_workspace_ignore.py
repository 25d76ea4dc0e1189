"""What an ignore file leaves out, by Docker's rules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync.errors import ConfigError
from barasync.workspace.ignore import Ignore
from barasync.workspace.scan import scan
from tests.unit.projects import plain_git, repository, without_privileges, write


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with plain_git():
        yield


def leaves_out(patterns: str, path: str) -> bool:
    """Ask for a path the way a walk does, from the root down."""
    ignore = Ignore.parse(patterns, Path("file"))
    matches = ignore.nothing
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        matches = ignore.matches("/".join(parts[:depth]), matches)
    return ignore.leaves_out(matches)


# What a pattern alone matches: (pattern, left out, not left out).
PATTERNS = [
    ("a", ["a", "a/b", "a/b/c"], ["b/a", "ab"]),
    ("/a", ["a"], ["b/a"]),
    ("./a/", ["a", "a/b"], ["b/a"]),
    ("a//b/../c", ["a/c"], ["a/b"]),
    ("../a", [], ["a"]),
    ("/", [], ["a"]),
    (".", [], ["a"]),
    ("  a b  ", ["a b"], ["a", "b"]),
    ("*", ["a", "a/b", ".a"], []),
    ("*.o", ["a.o", ".o", "a.o/x"], ["d/a.o", "a.oo"]),
    ("*/a", ["d/a"], ["a", "d/e/a"]),
    ("a?", ["ab", "a?", "aé"], ["a", "abc", "a/b"]),
    ("**", ["a", "a/b/c"], []),
    ("**/", ["a", "a/b/c"], []),
    ("**/a", ["a", "d/a", "d/e/a", "d/a/f"], ["xa", "d/xa"]),
    ("**a", ["a", "xa", "d/xa", "d/a"], ["ab"]),
    ("**.o", ["a.o", "d/e/a.o"], ["a.oo"]),
    ("**/*.o", ["a.o", "d/e/a.o"], ["a.c"]),
    ("**/a/**", ["a/b", "d/a/b/c"], ["a", "d/a"]),
    ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
    ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
    ("a**", ["a", "ab", "a/b"], ["b/a"]),
    ("a[bc]", ["ab", "ac"], ["ad", "a[bc]"]),
    ("a[b-d]", ["ab", "ac", "ad"], ["ae", "a-"]),
    ("a[^b]", ["ac"], ["ab"]),
    (r"a[\]\-]", ["a]", "a-"], [r"a\\"]),
    ("a[[.]", ["a[", "a."], ["ab"]),
    ("a]", ["a]"], ["a"]),
    (r"\!a", ["!a"], ["a"]),
    (r"\*", ["*"], ["a"]),
    (r"\d", ["d"], ["1"]),
    ("a.b+(c)|{d}$^", ["a.b+(c)|{d}$^"], ["axb+(c)|{d}$^"]),
    ("*a", ["line\nbreaka"], []),
    ("caf\udce9", ["caf\udce9"], ["cafe"]),
]


@pytest.mark.parametrize(("pattern", "left_out", "kept"), PATTERNS, ids=[p for p, _, _ in PATTERNS])
def test_a_pattern_matches_paths_from_the_root(
    pattern: str, left_out: list[str], kept: list[str]
) -> None:
    found = {path: leaves_out(pattern, path) for path in (*left_out, *kept)}

    assert found == {**dict.fromkeys(left_out, True), **dict.fromkeys(kept, False)}


@pytest.mark.parametrize(
    ("patterns", "left_out", "kept"),
    [
        ("a\n!a/b", ["a", "a/c"], ["a/b", "a/b/d"]),
        ("*\n!src\n!*.md", ["x", "d/e.md"], ["src", "src/y", "e.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", ["a.md", "README-secret.md"], ["README.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", ["a.md"], ["README.md", "README-secret.md"]),
        ("!a\na", ["a", "a/b"], []),
        ("dir\n!dir/keep\ndir", ["dir/keep"], []),
        ("**/node_modules\n! /x/node_modules/mine/", ["x/node_modules/b"], ["x/node_modules/mine"]),
        ("# a\n \n\r\n #b\r\n", ["#b"], ["# a", "a"]),
        ("\ufeffa", ["a"], []),
    ],
)
def test_the_last_pattern_that_matches_decides(
    patterns: str, left_out: list[str], kept: list[str]
) -> None:
    found = {path: leaves_out(patterns, path) for path in (*left_out, *kept)}

    assert found == {**dict.fromkeys(left_out, True), **dict.fromkeys(kept, False)}


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("!", "names nothing"),
        ("a[", r"cannot be read from '\[' on"),
        ("a[]", r"cannot be read from '\[\]' on"),
        ("[-a]", r"cannot be read from '\[-a\]' on"),
        ("[b-a]", "has a set that is none: bad character range b-a"),
        ("a\\", r"cannot be read from '\\\\' on"),
    ],
)
def test_what_is_no_pattern_is_an_error_with_its_line(pattern: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^/p/.dockerignore: line 2: .* {problem}"):
        Ignore.parse(f"# comment\n{pattern}\n", Path("/p/.dockerignore"))


# In a project


def paths(project: Path) -> list[str]:
    return [entry.path for entry in scan(project).entries]


def test_what_is_ignored_does_not_come_along_and_empty_directories_do(tmp_path: Path) -> None:
    write(tmp_path, {".dockerignore": "build\n**/*.o\n", "a.c": "", "a.o": "", "src/b.o": ""})
    write(tmp_path, {"build/x": "", "src/deep/c.c": ""})
    (tmp_path / "empty").mkdir()

    assert paths(tmp_path) == [
        ".dockerignore",
        "a.c",
        "empty",
        "src",
        "src/deep",
        "src/deep/c.c",
    ]


def test_a_file_that_is_taken_in_again_brings_its_directories(tmp_path: Path) -> None:
    write(tmp_path, {".barasyncignore": "*\n!**/keep\n", "a": "", "d/e/keep": "", "d/f/x": ""})

    assert paths(tmp_path) == ["d", "d/e", "d/e/keep"]


@pytest.mark.parametrize(
    ("present", "left"),
    [
        ([".barasyncignore", ".containerignore", ".dockerignore"], ["b", "c"]),
        ([".containerignore", ".dockerignore"], ["a", "c"]),
        ([".dockerignore"], ["a", "b"]),
    ],
)
def test_the_first_ignore_file_counts(tmp_path: Path, present: list[str], left: list[str]) -> None:
    names = {".barasyncignore": "a", ".containerignore": "b", ".dockerignore": "c"}
    write(tmp_path, {name: f"{names[name]}\n.*" for name in present})
    write(tmp_path, {"a": "", "b": "", "c": ""})

    assert paths(tmp_path) == left


def test_git_needs_no_ignore_file(tmp_path: Path) -> None:
    repository(tmp_path, {".dockerignore": "a", "a": ""})

    assert paths(tmp_path) == [".dockerignore", "a"]


def test_what_is_ignored_need_not_be_readable_nor_be_a_file(tmp_path: Path) -> None:
    write(tmp_path, {".dockerignore": "secret\npipe\n!other", "secret/x": "", "a": ""})
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, *tmp_path.parents[:-2]):
        path.chmod(0o755)
    (tmp_path / "secret").chmod(0o700 if os.geteuid() == 0 else 0)

    with without_privileges():
        tree = scan(tmp_path)

    assert [entry.path for entry in tree.entries] == [".dockerignore", "a"]
    assert tree.skipped == ()


def test_names_that_are_not_utf_8_can_be_ignored(tmp_path: Path) -> None:
    write(tmp_path, {".dockerignore": b"caf\xe9*\n.*", os.fsdecode(b"caf\xe9-1"): "", "a": ""})

    assert paths(tmp_path) == ["a"]


def test_a_pipe_in_the_place_of_an_ignore_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".dockerignore")

    with pytest.raises(ConfigError, match=r"\.dockerignore: cannot be read: it is not a regular"):
        scan(tmp_path)


def test_an_ignore_file_of_any_length_takes_little_memory(tmp_path: Path) -> None:
    with (tmp_path / ".dockerignore").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(ConfigError, match=r"\.dockerignore: cannot be read: it has more than"):
        scan(tmp_path)


def test_an_ignore_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").mkdir()

    with pytest.raises(ConfigError, match=r"\.dockerignore: cannot be read: Is a directory"):
        scan(tmp_path)


def test_a_name_that_a_pattern_of_many_stars_does_not_match_is_soon_left() -> None:
    ignore = Ignore.parse("**/" + "a*" * 60 + "b\n", Path("/p/.dockerignore"))

    assert not ignore.leaves_out(ignore.matches("a" * 200, ignore.nothing))
    assert ignore.leaves_out(ignore.matches("x/" + "a" * 200 + "b", ignore.nothing))
