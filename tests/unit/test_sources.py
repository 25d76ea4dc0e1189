"""What is fetched for artifacts, and where it goes."""

from __future__ import annotations

import pytest

from barasync.artifacts.pattern import Pattern
from barasync.artifacts.sources import Fetch, Source, absolute, fetch_of, plan


def planned(*texts: str) -> tuple[Fetch, ...]:
    return plan([Source.parse(text, "/w") for text in texts])


def shown(fetch: Fetch) -> tuple[str, str, tuple[str, ...]]:
    patterns = tuple("/".join(pattern.parts) for pattern in fetch.patterns)
    return fetch.path, fetch.place, patterns


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("out", "/workspace/out"),
        ("out/", "/workspace/out"),
        ("./a/../out//x/.", "/workspace/out/x"),
        (".", "/workspace"),
        ("../etc", "/etc"),
        ("/a/b/", "/a/b"),
        ("//a", "/a"),
        ("/", "/"),
        ("/..", "/"),
        ("out/*.o/", "/workspace/out/*.o"),
    ],
)
def test_a_source_is_made_absolute(source: str, path: str) -> None:
    assert absolute(source, "/workspace") == path


@pytest.mark.parametrize(
    ("paths", "places"),
    [
        ([], {}),
        (["/"], {}),
        (["/w/a", "/w/b"], {"/w/a": "a", "/w/b": "b"}),
        (["/w/a", "/w/a/b"], {"/w/a": "a", "/w/a/b": "b"}),
        (["/w/a", "/x/a", "/w/b"], {"/w/a": "w/a", "/x/a": "x/a", "/w/b": "w/b"}),
        (["/w/a", "/w/a/a", "/w/ab"], {"/w/a": "w/a", "/w/ab": "w/ab"}),
    ],
)
def test_no_two_paths_meet(paths: list[str], places: dict[str, str]) -> None:
    assert planned(*paths) == tuple(Fetch(path=path, place=place) for path, place in places.items())


@pytest.mark.parametrize(
    ("sources", "fetches"),
    [
        (["out/*.o"], [("/w/out", "out", ("*.o",))]),
        (["*.log"], [("/w", "w", ("*.log",))]),
        (["/*"], []),
        (["out/*.o", "out/*.a", "out/*.o/"], [("/w/out", "out", ("*.o", "*.a"))]),
        (["out/*.o", "out"], [("/w/out", "out", ())]),
        (["out/x/*.o", "out"], [("/w/out", "out", ())]),
        (
            ["out/*.o", "out/x/*.o", "out/app"],
            [("/w/out", "out", ("*.o",)), ("/w/out/x", "x", ("*.o",)), ("/w/out/app", "app", ())],
        ),
        (
            ["a/out/*", "b/out"],
            [("/w/a/out", "w/a/out", ("*",)), ("/w/b/out", "w/b/out", ())],
        ),
        (
            ["out/*.o", "out/out/**/x", "out/a/out", "out/b/out/*"],
            [("/w/out", "w/out", ("*.o", "out/**/x", "a/out", "b/out/*"))],
        ),
    ],
)
def test_patterns_below_one_directory_are_one_fetch(
    sources: list[str], fetches: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    assert [shown(fetch) for fetch in planned(*sources)] == fetches


def test_a_source_knows_its_part_of_the_fetch_it_comes_with() -> None:
    sources = [Source.parse(text, "/w") for text in ("out", "out/x/*.o", "/other/y")]
    fetches = plan(sources)

    assert [fetch_of(source, fetches) for source in sources] == [
        fetches[0],
        fetches[0],
        fetches[1],
    ]
    assert fetches[0].within(sources[1]) == Pattern(("x", "*.o"))
    assert fetch_of(Source.parse("/", "/w"), fetches) is None


def test_a_wildcard_itself_is_written_in_brackets() -> None:
    assert Pattern(("[*]", "[[]x]", "[?]")).matches(("*", "[x]", "?"))


def test_many_stars_take_no_time() -> None:
    pattern = Pattern(("**", "*a*a*a*a*a*b") * 20)

    assert not pattern.matches(("a" * 200,) * 60)
