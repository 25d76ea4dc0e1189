"""Patterns of artifacts, against what Python's own glob finds on disk."""

from __future__ import annotations

import glob
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from barasync.artifacts.pattern import Pattern, split

NAMES = st.text(alphabet="ab.[*", min_size=1, max_size=3).filter(lambda name: name.strip("."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(tuple)
PARTS = st.one_of(
    st.just("**"),
    st.text(alphabet="ab.*?", min_size=1, max_size=4).filter(lambda part: "**" not in part),
    st.sampled_from(["[ab]", "[!a]*", "[", "a[", "[*]", "[[]", "*[.]*"]),
).filter(lambda part: part.strip("."))
PATTERNS = st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: Pattern(tuple(parts)))


def found(pattern: Pattern, root: Path) -> set[tuple[str, ...]]:
    """What glob finds, and everything below that."""
    text = "/".join(pattern.parts)
    # `Path.glob` has no `**` that stands for no name.
    hits = glob.glob(text, root_dir=root, recursive=True, include_hidden=True)  # noqa: PTH207
    heads = {tuple(hit.strip("/").split("/")) for hit in hits}
    every = {path.relative_to(root).parts for path in root.rglob("*")}
    return {path for path in every if any(path[: len(head)] == head for head in heads)}


@settings(max_examples=150)
@given(st.sets(PATHS, max_size=6), PATTERNS)
def test_a_pattern_matches_what_glob_finds_and_what_lies_below(
    paths: set[tuple[str, ...]], pattern: Pattern
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for path in paths:
            root.joinpath(*path).mkdir(parents=True, exist_ok=True)
        every = {path.relative_to(root).parts for path in root.rglob("*")}
        expected = found(pattern, root)
        if set(pattern.parts) == {"**"}:
            expected = every  # glob names the root itself, and with it all

        assert {path for path in every if pattern.matches(path)} == expected


@given(PATHS, PATHS)
def test_a_literal_pattern_matches_its_path_and_what_is_below_and_nothing_else(
    path: tuple[str, ...], other: tuple[str, ...]
) -> None:
    pattern = Pattern.literal(path)

    assert pattern.matches(path)
    assert pattern.matches((*path, *other))
    assert pattern.matches(other) is (other[: len(path)] == path)


@given(PATHS, PATTERNS, PATHS)
def test_a_pattern_seen_from_further_up_matches_the_same(
    above: tuple[str, ...], pattern: Pattern, path: tuple[str, ...]
) -> None:
    assert pattern.below(above).matches((*above, *path)) is pattern.matches(path)


@given(PATHS, PATTERNS)
def test_a_path_is_split_at_its_first_wildcard(above: tuple[str, ...], pattern: Pattern) -> None:
    path, found = split("/" + "/".join((*above, *pattern.parts)))

    plain = [not set(part) & set("*?[") for part in (*above, *pattern.parts)]
    cut = plain.index(False) if False in plain else len(plain)
    assert path == ("/" + "/".join((*above, *pattern.parts)[:cut]))
    assert found == (None if cut == len(plain) else Pattern((*above, *pattern.parts)[cut:]))


@given(PATHS, PATTERNS, PATHS)
def test_a_pattern_reaches_whatever_holds_what_it_matches(
    above: tuple[str, ...], pattern: Pattern, path: tuple[str, ...]
) -> None:
    if pattern.matches((*above, *path)):
        assert pattern.reaches(above)
