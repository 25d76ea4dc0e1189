"""A cell for each of several rules, and each cell several times: only a command line asks so."""

from __future__ import annotations

from typing import Any

import pytest

from barasync.config.load import parse as parse_document
from barasync.config.origin import Origin
from barasync.config.schema import CellTable
from barasync.errors import ConfigError, NothingSelected
from barasync.matrix.command import environment, expand
from barasync.matrix.listing import as_data, as_rows
from barasync.matrix.plan import Plan, Request, plan
from barasync.matrix.platforms import Platform

FILE = """
[defaults]
image = "debian"
[matrix]
arch = ["amd64", "arm64"]
config = ["debug", "release"]
exclude = [{ arch = "arm64", config = "debug" }]
"""


def planned(text: str | None = None, **fields: Any) -> Plan:
    document = None if text is None else parse_document(text, Origin())
    options = CellTable(image="debian")
    return plan(Request(native=Platform("amd64"), document=document, options=options, **fields))


def ids(made: Plan) -> list[str]:
    return [cell.id for cell in made.cells]


def executed(made: Plan) -> dict[str, tuple[str, ...]]:
    return {cell.id: expand(cell, rule=made.rule, args=made.args) for cell in made.cells}


def test_each_cell_is_there_as_often_as_asked_for_and_knows_its_number() -> None:
    made = planned(FILE, rule="tests", args=("-k",), repeat=2)

    assert ids(made) == [
        "amd64-debug-1",
        "amd64-debug-2",
        "amd64-release-1",
        "amd64-release-2",
        "arm64-release-1",
        "arm64-release-2",
    ]
    assert set(executed(made).values()) == {("bar", "tests", "-k")}
    numbers = [environment(cell, run="r")["BARASYNC_REPEAT"] for cell in made.cells]
    assert numbers == ["1", "2"] * 3
    assert environment(made.cells[1], run="r")["BARASYNC_CELL"] == "amd64-debug-2"


def test_once_has_a_number_too_and_nothing_said_has_none() -> None:
    assert ids(planned(rule="tests", repeat=1)) == ["amd64-1"]
    (cell,) = planned(rule="tests").cells
    assert (cell.id, cell.repetition) == ("amd64", None)
    assert environment(cell, run="r")["BARASYNC_REPEAT"] == ""


def test_each_rule_has_a_cell_in_every_combination_and_runs_there() -> None:
    made = planned(FILE, rules=("lint", "tests"), config=("release",))

    assert executed(made) == {
        "amd64-release-lint": ("bar", "lint"),
        "amd64-release-tests": ("bar", "tests"),
        "arm64-release-lint": ("bar", "lint"),
        "arm64-release-tests": ("bar", "tests"),
    }
    assert (made.rule, made.args) == ("lint tests", ())


def test_rules_are_repeated() -> None:
    made = planned(rules=("a", "b"), repeat=2)

    assert ids(made) == ["amd64-a-1", "amd64-a-2", "amd64-b-1", "amd64-b-2"]
    assert [words[1] for words in executed(made).values()] == ["a", "a", "b", "b"]


def test_globs_select_from_the_whole_ids() -> None:
    assert ids(planned(FILE, rules=("a", "b"), select=("*-b",), exclude=("arm64-*",))) == [
        "amd64-debug-b",
        "amd64-release-b",
    ]
    with pytest.raises(NothingSelected, match="did you mean 'amd64-debug-"):
        planned(FILE, rule="tests", repeat=2, select=("amd64-debug",))


def test_what_no_id_can_have_of_a_rule_is_an_underscore_and_the_rule_is_whole() -> None:
    made = planned(rules=("unit/a b", "*", "-x", "ünit"))

    assert executed(made) == {
        "amd64-unit_a_b": ("bar", "unit/a b"),
        "amd64-_": ("bar", "*"),
        "amd64--x": ("bar", "-x"),
        "amd64-_nit": ("bar", "ünit"),
    }
    assert made.rule == "'unit/a b' '*' -x 'ünit'"


def test_the_plan_says_rule_and_repetition_of_each_cell() -> None:
    made = planned(rules=("a", "b"), repeat=1)

    cells = as_data(made)["cells"]
    assert [(cell["rule"], cell["repetition"]) for cell in cells] == [("a", 1), ("b", 1)]
    assert [cell["command"] for cell in cells] == [["bar", "a"], ["bar", "b"]]
    assert [row[-1] for row in as_rows(made)] == ["bar a", "bar b"]
    (alone,) = as_data(planned(rule="tests"))["cells"]
    assert (alone["rule"], alone["repetition"]) == (None, None)


def test_a_command_without_a_place_for_the_rule_is_noted() -> None:
    text = '[defaults]\ncommand = ["make", "{args}"]\n'

    assert planned(text, rules=("a", "b")).notes == (
        "barasync.toml: defaults.command has no {rule}: it executes the same for every rule",
    )
    assert planned(text, rule="a").notes == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rules": ("a", "b", "a")}, "--rule-each: the rule 'a' is given twice"),
        ({"rules": ("a", "")}, "--rule-each: the name of a rule is empty"),
        ({"rules": ("a/b", "a:b")}, "the rules 'a/b' and 'a:b' both make cell amd64-a_b"),
        ({"rules": ("a", "x" * 101)}, "it has 101 characters, and 100 are the most"),
        ({"rule": "a", "repeat": 0}, "--repeat: 0 is not a number of repetitions above 0"),
        ({"rule": "a", "repeat": 100_001}, "this comes to 100001 cells, and 100000 are the most"),
        ({"rules": ("a", "b"), "repeat": 50_001}, "this comes to 100002 cells"),
    ],
)
def test_what_cannot_be_multiplied_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(**fields)

    assert message in str(caught.value)


def test_a_configuration_and_a_rule_that_read_as_others_do_are_refused() -> None:
    text = '[matrix]\nconfig = ["a", "a-b"]\n'

    with pytest.raises(ConfigError, match="'b-c' and 'c' both make cell amd64-a-b-c"):
        planned(text, rules=("b-c", "c"))
    assert len(planned(text, rules=("c", "d")).cells) == 4
