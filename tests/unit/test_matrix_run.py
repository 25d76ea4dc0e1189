"""The one cell of `barasync run`: its image, and what its words are."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from barasync.config.load import parse as parse_document
from barasync.config.origin import Origin
from barasync.config.schema import CellTable
from barasync.errors import ConfigError
from barasync.matrix.command import Reading, expand
from barasync.matrix.plan import Request, plan_run, plan_shell
from barasync.matrix.platforms import Platform

NATIVE = Platform("amd64")

FILE = """
[defaults]
image = "toolchain"
command = ["make", "{rule}", "{args}"]
timeout = 600
artifacts = ["out"]

[config.release]
timeout = 900.5

[images.toolchain.bootstrap]
suite = "trixie"
"""


def request(text: str | None = None, **fields: Any) -> Request:
    document = None if text is None else parse_document(text, Origin())
    return Request(native=NATIVE, document=document, **fields)


def test_a_run_is_one_cell_with_the_words_as_they_are() -> None:
    made = plan_run(request(), "debian:13", ["echo", "{rule}", "{args}"])

    (cell,) = made.cells
    assert cell.id == "amd64"
    assert cell.settings.image == "debian:13"
    assert expand(cell, rule=made.rule, args=made.args) == ("echo", "{rule}", "{args}")
    assert (cell.provenance["image"], cell.provenance["command"]) == ("IMAGE", "COMMAND")


def test_a_run_without_a_command_leaves_it_to_the_image() -> None:
    made = plan_run(request(), "debian", [])

    assert expand(made.cells[0], rule=made.rule, args=made.args, has_bar=True) == ()


@pytest.mark.parametrize(
    ("text", "fields", "image", "place"),
    [
        (FILE, {}, "toolchain", "barasync.toml: defaults.image"),
        (
            '[config.lint]\nimage = "linter"\n' + FILE,
            {"config": ("lint",)},
            "linter",
            "barasync.toml: config.lint.image",
        ),
        (None, {"environ": {"BARASYNC_IMAGE": "y"}}, "y", "BARASYNC_IMAGE"),
    ],
)
def test_a_run_in_the_image_of_the_settings(
    text: str | None, fields: dict[str, Any], image: str, place: str
) -> None:
    (cell,) = plan_run(request(text, **fields), "-", ["true"]).cells

    assert (cell.settings.image, cell.provenance["image"]) == (image, place)


def test_a_rule_in_one_container_is_that_of_the_matrix() -> None:
    made = plan_run(request(FILE), "-", ["tests", "a b"], Reading.RULE)

    (cell,) = made.cells
    assert expand(cell, rule=made.rule, args=made.args) == ("make", "tests", "a b")
    assert cell.settings.artifacts == ("out",)
    assert made.as_command is None


def test_words_that_may_be_a_rule_are_planned_as_both() -> None:
    made = plan_run(request(FILE), "-", ["tests", "{rule}"], Reading.AUTO)

    assert made.as_command is not None
    (rule,), (command,) = made.cells, made.as_command.cells
    assert expand(rule, rule=made.rule, args=made.args) == ("make", "tests", "{rule}")
    assert expand(command, rule=made.as_command.rule, args=made.as_command.args) == (
        "tests",
        "{rule}",
    )
    assert (rule.settings.artifacts, command.settings.artifacts) == (("out",), ())


@pytest.mark.parametrize(
    "words", [[], ["", "a"], ["./configure"], ["[", "a"], ["a*"], ["a?"], ["a\\"], ["n" * 256]]
)
def test_words_that_cannot_be_a_rule_are_a_command(words: list[str]) -> None:
    made = plan_run(request(FILE), "-", words, Reading.AUTO)

    (cell,) = made.cells
    assert expand(cell, rule=made.rule, args=made.args) == tuple(words)
    assert made.as_command is None


def test_arguments_that_do_not_reach_a_rule_are_noted_unless_it_may_be_a_command() -> None:
    text = '[defaults]\nimage = "x"\ncommand = ["make", "{rule}"]'

    (note,) = plan_run(request(text), "-", ["tests", "-k"], Reading.RULE).notes
    assert "defaults.command has no {args}" in note
    assert plan_run(request(text), "-", ["tests", "-k"], Reading.AUTO).notes == ()


@pytest.mark.parametrize("words", [[], [""]])
def test_a_rule_has_to_be_named(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="no rule is named"):
        plan_run(request(FILE), "-", words, Reading.RULE)


def test_a_run_in_the_image_of_settings_that_have_none_is_refused() -> None:
    text = '[config.lint]\nimage = "linter"\n[images.linter.bootstrap]\nsuite = "trixie"\n'

    with pytest.raises(ConfigError) as caught:
        plan_run(request(text), "-", ["true"])

    assert str(caught.value) == "no image is given for cell amd64"
    assert caught.value.hint == (
        "write `image = …` under [defaults] in barasync.toml, or name one in place of -;"
        " barasync.toml declares linter"
    )


def test_a_run_takes_the_defaults_of_the_project_but_not_what_belongs_to_its_rules() -> None:
    made = plan_run(
        request(FILE, options=CellTable(artifacts=["log"]), environ={"BARASYNC_IMAGE": "y"}),
        "toolchain",
        ["true"],
    )

    (cell,) = made.cells
    assert cell.id == "amd64"
    assert cell.settings.timeout == 600
    assert cell.settings.artifacts == ("log",)
    assert cell.settings.image == "toolchain"


def test_a_run_in_a_configuration_and_an_architecture_of_its_own() -> None:
    (cell,) = plan_run(request(FILE, arch=("aarch64",), config=("release",)), "a", ["b"]).cells

    assert cell.id == "arm64-release"
    assert cell.settings.timeout == 900.5


@pytest.mark.parametrize(
    ("text", "fields", "message", "table"),
    [
        (None, {}, "there is no barasync.toml that has any", "config.lto"),
        ("", {"in_project": False}, "there is no barasync.toml that has any", "config.lto"),
        ('[defaults]\nimage = "x"', {}, "barasync.toml has no configurations", "config.lto"),
        (
            "",
            {"origin": Origin.of(PurePath("pyproject.toml"))},
            "pyproject.toml has no configurations",
            "tool.barasync.config.lto",
        ),
    ],
)
def test_a_run_in_a_configuration_is_refused_where_there_are_none(
    text: str | None, fields: dict[str, Any], message: str, table: str
) -> None:
    made = request(text, config=("lto",), **fields)

    with pytest.raises(ConfigError) as caught:
        plan_run(made, "a", ["b"])
    assert str(caught.value) == f"--config: there is no configuration 'lto', {message}"
    assert caught.value.hint == (
        f"write [{table}] and its settings into {made.origin.file},"
        " or give --define config.lto.KEY=VALUE"
    )
    with pytest.raises(ConfigError, match="there is no configuration 'lto'"):
        plan_shell(made, "a", ["b"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arch": ("amd64,arm64",)}, "--arch: one container is for one of them, not 2"),
        ({"config": ("a", "b")}, "--config: one container is for one of them, not 2"),
    ],
)
def test_a_run_of_several_cells_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_run(request(**fields), "debian", ["true"])

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("image", "command", "message"),
    [
        ("", ["true"], "IMAGE: '' is neither"),
        ("debian", ["a\0"], "COMMAND: a word contains a NUL character"),
    ],
)
def test_a_run_of_what_cannot_be_is_refused(image: str, command: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_run(request(), image, command)

    assert str(caught.value).startswith(message)
