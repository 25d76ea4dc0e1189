"""Mistakes in the words of a command line: one line, a hint at most, 2, and no podman asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from barasync.cli.app import app
from barasync.cli.mistakes import config_error
from tests.rig.command import Barasync


@pytest.fixture
def barasync(tmp_path: Path) -> Barasync:
    """The command line in an empty project, with no podman to be found, made to show colours."""
    environ = {"PATH": "/nonexistent", "HOME": str(tmp_path), "FORCE_COLOR": "1"}
    return Barasync(tmp_path, None, environ)


def commands(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
    yield words
    for name in getattr(command, "commands", ()):
        yield from commands(command.commands[name], *words, name)


RUN = "`barasync run --help` says"
LIST = "`barasync container list --help` says what it takes"
STOP = "`barasync container stop --help` says more"
STATES = "'created', 'running', 'paused', 'stopping', 'exited', 'removing'"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ["run", "--cpsu", "1", "x"],
            "there is no option '--cpsu'; did you mean '--cpus'?",
            "`barasync run --help` lists the options",
        ),
        (
            ["run", "-\x1b[31mZ", "x"],
            "there is no option '-^['",
            "`barasync run --help` lists the options",
        ),
        (["run", "--cpus"], "--cpus has no value", None),
        (["run", "--stdin=3", "x"], "--stdin takes no value", None),
        (["run", "--cpus", "lots", "x"], "--cpus: 'lots' is not a number", f"{RUN} what it takes"),
        (["run", "--cpus", "a\nb", "x"], "--cpus: 'a\\nb' is not a number", f"{RUN} what it takes"),
        (
            ["run", "--timeout", "1h", "x"],
            "--timeout: '1h' is not a number",
            f"it takes SECONDS; {RUN} more",
        ),
        (["run"], "IMAGE is missing", f"{RUN} what it takes"),
        (
            ["container", "stop"],
            "CONTAINER is missing",
            "`barasync container stop --help` says what it takes",
        ),
        (
            ["container", "stop", "--grace", "x", "a"],
            "--grace: 'x' is not a whole number",
            f"it takes SECONDS; {STOP}",
        ),
        (
            ["container", "stop", "--grace", "-1", "a"],
            "--grace: -1 is not from 0 to 1000000",
            f"it takes SECONDS; {STOP}",
        ),
        (
            ["matrix", "--jobs", "0", "x"],
            "--jobs: 0 is less than 1",
            "`barasync matrix --help` says what it takes",
        ),
        (
            ["container", "list", "--state", "runing"],
            f"--state: 'runing' is not one of {STATES}; did you mean 'running'?",
            LIST,
        ),
        (["container", "list", "--state", "x"], f"--state: 'x' is not one of {STATES}", LIST),
        (
            ["image", "prune", "--older-than", "x"],
            "--older-than: 'x' is no age; write a number and a unit: 12h, 14d, 8w",
            "it takes AGE; `barasync image prune --help` says more",
        ),
        (
            ["doctor", "a", "b"],
            "too many arguments: a b",
            "`barasync doctor --help` says what it takes",
        ),
        (
            ["rnu"],
            "there is no command 'rnu'; did you mean 'run'?",
            "`barasync --help` lists the commands",
        ),
        (["it's"], 'there is no command "it\'s"', "`barasync --help` lists the commands"),
        (
            ["image", "bulid"],
            "there is no command 'bulid'; did you mean 'build'?",
            "`barasync image --help` lists the commands",
        ),
    ],
)
def test_a_mistake_is_one_line_and_where_to_look(
    barasync: Barasync, words: list[str], message: str, hint: str | None
) -> None:
    ended = barasync(*words)

    said = ended.err.replace("python -m barasync", "barasync")
    expected = f"barasync: {message}\n" + (f"  hint: {hint}\n" if hint else "")
    assert (ended.code, ended.out, said) == (2, "", expected)


@pytest.mark.parametrize("words", [*commands(typer.main.get_command(app))], ids=" ".join)
def test_every_command_refuses_an_option_that_it_does_not_have(words: tuple[str, ...]) -> None:
    with pytest.raises(typer.TyperException) as caught:
        app([*words, "--xyzzy"], prog_name="barasync", standalone_mode=False)

    error = config_error(caught.value)
    assert str(error) == "there is no option '--xyzzy'"
    assert error.hint == f"`{' '.join(['barasync', *words])} --help` lists the options"


@pytest.mark.parametrize("words", [(), ("image",)])
def test_a_group_alone_shows_its_help_with_2(barasync: Barasync, words: tuple[str, ...]) -> None:
    plain = replace(barasync, environ={"PATH": "/nonexistent", "TERM": "dumb"})

    alone, helped = plain(*words), plain(*words, "--help")

    assert (alone.code, helped.code) == (2, 0)
    assert re.search(r"Usage: .*COMMAND", helped.out)
    assert (alone.out.strip(), alone.err) == (helped.out.strip(), "")
