from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barasync.config.schema import CellSettings, WorkspaceMode
from barasync.matrix.cells import Cell, cell_id
from barasync.matrix.command import VERBATIM, environment, expand, uses
from barasync.matrix.platforms import Platform


def cell(
    *command: str,
    config: str | None = "release",
    workspace: WorkspaceMode = WorkspaceMode.LAYER,
    **settings: Any,
) -> Cell:
    return Cell(
        id=cell_id("arm64", config),
        arch="arm64",
        platform=Platform("arm64"),
        config=config,
        settings=CellSettings(command=command, workspace=workspace, **settings),
        provenance={},
    )


def words(*command: str, rule: str = "tests", args: tuple[str, ...] = ("-k", "a b")) -> list[str]:
    return list(expand(cell(*command), rule=rule, args=args))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["make", "{rule}", "{args}"], ["make", "tests", "-k", "a b"]),
        (["sh", "-c", "make {rule} {args}"], ["sh", "-c", "make tests -k 'a b'"]),
        (["{arch}/{config}", "{cell}"], ["arm64/release", "arm64-release"]),
        (["{args}", "{args}"], ["-k", "a b", "-k", "a b"]),
        (["x={rule}{rule}"], ["x=teststests"]),
        (
            ["{ rule}", "{}", "{other}", "${rule}", "{{rule}}"],
            ["{ rule}", "{}", "{other}", "$tests", "{tests}"],
        ),
    ],
)
def test_placeholders_are_filled_and_other_braces_stay(
    command: list[str], expected: list[str]
) -> None:
    assert words(*command) == expected


def test_what_comes_out_of_a_placeholder_is_not_looked_at_again() -> None:
    assert words("{rule}", "{args}", "{rule} {args}", rule="{args}", args=("{rule}",)) == [
        "{args}",
        "{rule}",
        "{args} '{rule}'",
    ]


def test_no_arguments_leave_no_word() -> None:
    assert words("make", "{args}", args=()) == ["make"]
    assert words("sh", "-c", "make {args}", args=()) == ["sh", "-c", "make "]


def test_a_cell_without_a_configuration_has_an_empty_one() -> None:
    assert expand(cell("{config}", "{cell}", config=None), rule="r", args=()) == ("", "arm64")


def test_without_a_command_bar_runs_the_rule() -> None:
    assert expand(cell(), rule="tests", args=("a",)) == ("bar", "tests", "a")


def test_the_projects_own_bar_is_preferred_where_its_files_are() -> None:
    assert expand(cell(), rule="tests", args=(), has_bar=True) == ("./bar", "tests")
    assert expand(cell(workspace=WorkspaceMode.NONE), rule="tests", args=(), has_bar=True) == (
        "bar",
        "tests",
    )


@pytest.mark.parametrize(
    ("settings", "called"),
    [
        ({"workdir": "/workspace"}, "./bar"),
        ({"workdir": "/srv"}, "/workspace/bar"),
        ({"workspace": WorkspaceMode.NONE, "volumes": ("/src:/workspace:z",)}, "/workspace/bar"),
        (
            {
                "workspace": WorkspaceMode.NONE,
                "volumes": ("/src:/workspace",),
                "workdir": "/workspace",
            },
            "./bar",
        ),
        ({"workspace": WorkspaceMode.NONE, "volumes": ("name:/workspace",)}, "bar"),
        ({"workspace": WorkspaceMode.NONE, "volumes": ("/src:/elsewhere",)}, "bar"),
    ],
)
def test_the_bar_of_the_workspace_is_called_from_where_the_command_starts(
    settings: dict[str, Any], called: str
) -> None:
    assert expand(cell(**settings), rule="tests", args=(), has_bar=True) == (called, "tests")


def test_a_command_of_its_own_is_kept_where_the_project_has_bar() -> None:
    assert expand(cell("make"), rule="tests", args=(), has_bar=True) == ("make",)


@given(st.lists(st.text()))
def test_a_verbatim_command_is_its_arguments(args: list[str]) -> None:
    assert expand(cell(*VERBATIM), rule="r", args=args) == tuple(args)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_arguments_inside_a_word_read_back_in_a_shell(args: list[str]) -> None:
    (script,) = expand(cell("run {args}"), rule="r", args=args)

    assert shlex.split(script) == ["run", *args]


@pytest.mark.parametrize(
    ("template", "expected"),
    [((), True), (("make", "{args}"), True), (("sh", "-c", "a {args}"), True), (("make",), False)],
)
def test_whether_arguments_reach_a_command(template: tuple[str, ...], expected: bool) -> None:
    assert uses(template, "args") is expected


def test_every_cell_is_told_which_one_it_is() -> None:
    assert environment(cell(), run="r1") == {
        "BARASYNC_RUN": "r1",
        "BARASYNC_CELL": "arm64-release",
        "BARASYNC_ARCH": "arm64",
        "BARASYNC_CONFIG": "release",
        "BARASYNC_REPEAT": "",
    }
    assert environment(cell(config=None), run="r1")["BARASYNC_CONFIG"] == ""
