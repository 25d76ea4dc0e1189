from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated

import msgspec
import pytest
from msgspec import inspect

from barasync.config.origin import Origin
from barasync.config.structure import check, describe
from barasync.errors import ConfigError


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    count: int
    ratio: float = 1.0
    shade: Colour = Colour.RED


class Outer(msgspec.Struct, forbid_unknown_fields=True, rename={"class_": "class"}):
    inner: Inner | msgspec.UnsetType = msgspec.UNSET
    named: dict[str, Inner] = {}
    listed: list[Inner] = []
    words: Annotated[list[str], msgspec.Meta(min_length=1)] = []
    size: str | int = 0
    flag: bool = False
    class_: str = ""


OUTER = inspect.type_info(Outer)


def problem(data: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        check(data, OUTER, Origin().key)
    return caught.value


def test_what_the_schema_allows_passes() -> None:
    inner = {"count": 1, "ratio": 2, "shade": "green"}

    check(
        {"inner": inner, "named": {"a": inner}, "listed": [inner], "words": ["x"], "flag": True},
        OUTER,
        Origin().key,
    )
    check({"size": "2g", "class": "c"}, OUTER, Origin().key)
    check({"size": 2}, OUTER, Origin().key)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"named": 3}, "named: expected a table of tables, got the number 3"),
        ({"named": {"a.b": 3}}, 'named."a.b": expected a table, got the number 3'),
        ({"named": {"a": {}}}, "named.a.count: missing; an integer is needed here"),
        ({"inner": {"count": 1.5}}, "inner.count: expected an integer, got the number 1.5"),
        ({"inner": {"count": True}}, "inner.count: expected an integer, got true"),
        ({"inner": {"count": 1, "ratio": False}}, "inner.ratio: expected a number, got false"),
        ({"inner": {"count": 2**63}}, "inner.count: 9223372036854775808 is too large for TOML"),
        (
            {"inner": {"count": 1, "shade": "blue"}},
            "inner.shade: expected one of 'red', 'green', got the string 'blue'",
        ),
        ({"listed": [{"count": 1}, []]}, "listed[1]: expected a table, got an empty list"),
        ({"listed": {}}, "listed: expected a list of tables, got a table"),
        ({"words": []}, "words: expected a non-empty list of strings, got an empty list"),
        ({"words": ["a", [1]]}, "words[1]: expected a string, got a list"),
        ({"size": 1.5}, "size: expected a string or an integer, got the number 1.5"),
        ({"flag": "yes"}, "flag: expected true or false, got the string 'yes'"),
        (
            {"class": dt.date(2026, 1, 2)},
            "class: expected a string, got the date or time 2026-01-02",
        ),
    ],
)
def test_a_wrong_type_names_its_key_and_both_types(data: object, message: str) -> None:
    assert str(problem(data)) == f"barasync.toml: {message}"


def test_an_unknown_key_is_named_with_the_nearest_and_all_that_are_allowed() -> None:
    error = problem({"named": {"a": {"count": 1, "raito": 2}}})

    assert str(error) == "barasync.toml: named.a.raito: unknown key; did you mean 'ratio'?"
    assert error.hint == "allowed here: count, ratio, shade"


def test_a_key_of_a_table_below_is_sent_there() -> None:
    class Top(msgspec.Struct, forbid_unknown_fields=True):
        inner: Inner | msgspec.UnsetType = msgspec.UNSET
        ratios: float = 1.0

    with pytest.raises(ConfigError) as caught:
        check({"ratio": 1}, inspect.type_info(Top), Origin("pyproject.toml", ("tool", "x")).key)

    assert str(caught.value) == "pyproject.toml: tool.x.ratio: unknown key"
    assert caught.value.hint == "it belongs at pyproject.toml: tool.x.inner.ratio"


def test_an_unset_table_is_seen_through() -> None:
    error = problem({"count": 1})

    assert error.hint == "it belongs at barasync.toml: inner.count"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({"words": "make test"}, 'a list is written ["…", "…"]'),
        ({"words": [1]}, 'a string has quotes: "1"'),
        ({"class": True}, 'a string has quotes: "true"'),
        ({"class": []}, None),
        ({"flag": "yes"}, None),
    ],
)
def test_the_hint_says_how_toml_writes_it(data: object, hint: str | None) -> None:
    assert problem(data).hint == hint


@pytest.mark.parametrize("count", [2**63 - 1, -(2**63)])
def test_an_integer_of_64_bits_passes(count: int) -> None:
    check({"inner": {"count": count}}, OUTER, Origin().key)


@pytest.mark.parametrize("count", [2**63, -(2**63) - 1])
def test_an_integer_beyond_64_bits_is_refused(count: int) -> None:
    assert "is too large for TOML" in str(problem({"inner": {"count": count}}))


def test_a_long_value_is_shortened() -> None:
    assert len(str(problem({"flag": "x" * 10_000}))) < 200


def test_a_list_of_numbers_is_described_by_its_elements() -> None:
    assert describe(inspect.type_info(list[int])) == "a list of values, each an integer"
