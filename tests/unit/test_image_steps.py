from __future__ import annotations

from dataclasses import replace

import pytest

from barasync.config.load import parse
from barasync.config.origin import Origin
from barasync.config.schema import ImageNetwork, ImageTable
from barasync.images.containerfile import Env, Label, User, Workdir
from barasync.images.steps import (
    CopyStep,
    PackagesStep,
    ProjectStep,
    RunStep,
    SettingsStep,
    changes_of,
    steps_of,
    text_of,
    title_of,
)


def table(text: str) -> ImageTable:
    return parse(f'[images.x]\nfrom = "debian:trixie"\n{text}', Origin()).images["x"]


def test_variables_are_the_same_step_in_whatever_order() -> None:
    one = ImageTable(from_="x", env={"A": "$B", "B": "1"})
    other = ImageTable(from_="x", env={"B": "1", "A": "$B"})

    assert [text_of(step) for step in steps_of(one)] == [text_of(step) for step in steps_of(other)]
    assert steps_of(one)[0].instructions == (Env("A", "$B"), Env("B", "1"))


def test_the_order_of_the_steps_is_not_that_of_the_file() -> None:
    steps = steps_of(
        table("""
labels = { b = "2", a = "1" }
user = "me"
run = ["one", "two"]
project = true
copy = ["x:/x", "dir/:/y"]
packages = ["make"]
workdir = "/w"
env = { B = "2", A = "1" }
network = "none"
""")
    )

    assert isinstance(steps[0], PackagesStep)
    assert steps[0].settings == (Env("A", "1"), Env("B", "2"), Workdir("/w"))
    assert steps[0].network is ImageNetwork.NONE
    assert steps[1:] == (
        CopyStep("x", "/x"),
        CopyStep("dir", "/y"),
        ProjectStep(),
        RunStep("one", ImageNetwork.NONE),
        RunStep("two", ImageNetwork.NONE),
        SettingsStep((User("me"), Label("a", "1"), Label("b", "2"))),
    )


@pytest.mark.parametrize(
    "text", ['packages = ["x"]', 'copy = ["a:/b"]', "project = true", 'run = ["make"]']
)
def test_the_first_settings_are_part_of_the_step_that_follows_them(text: str) -> None:
    [bare] = steps_of(table(text))
    [step] = steps_of(table(f"env = {{ A = '1' }}\nworkdir = '/w'\n{text}"))

    assert step == replace(bare, settings=(Env("A", "1"), Workdir("/w")))
    assert step.instructions == (Env("A", "1"), Workdir("/w"), *bare.instructions)
    assert text_of(step) != text_of(bare)


def test_settings_alone_are_one_step() -> None:
    text = "env = { A = '1' }\nworkdir = '/w'\nuser = 'me'\nlabels = { l = '2' }"

    assert steps_of(table(text)) == (
        SettingsStep((Env("A", "1"), Workdir("/w"), User("me"), Label("l", "2"))),
    )


def test_a_base_alone_has_no_steps() -> None:
    assert steps_of(table("")) == ()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('packages = ["make", "less", "make"]', ("make", "less")),
        ('toolchain = "go"\ndev = true', ("go toolchain", "dev tools")),
        ("dev = true", ("dev tools",)),
    ],
)
def test_packages_are_one_step_whatever_asks_for_them(text: str, names: tuple[str, ...]) -> None:
    [step] = steps_of(table(text))

    assert isinstance(step, PackagesStep)
    assert step.names == names
    assert step.user == "root"
    assert text_of(step).startswith('network bridge\nUSER root\nRUN ["/bin/sh", "-c", "set -eu')


@pytest.mark.parametrize(
    ("written", "script"),
    [
        (r'"""\na\n b\n\n"""', "a\n b"),
        (r'"a \\\n"', "a \\\n"),
        ('"  a  "', "  a  "),
    ],
)
def test_lines_that_are_empty_around_a_script_do_not_count(written: str, script: str) -> None:
    assert steps_of(table(f"run = [{written}]")) == (RunStep(script),)


def test_the_text_of_a_step_is_what_a_containerfile_says_and_its_network() -> None:
    copied, ran, last = steps_of(
        table('env = { A = "$b" }\ncopy = ["a b:/c"]\nrun = ["make"]\nuser = "1000"')
    )

    assert text_of(copied) == 'ENV A="\\$b"\nCOPY ["a b", "/c"]\n'
    assert text_of(ran) == "network bridge\nRUN make\n"
    assert text_of(last) == "USER 1000\n"


@pytest.mark.parametrize("text", ['run = ["make"]', 'packages = ["make"]'])
def test_what_is_executed_without_a_network_is_another_step(text: str) -> None:
    with_network, without = (
        steps_of(table(f'{text}\nnetwork = "{network}"'))[0] for network in ImageNetwork
    )

    assert text_of(with_network) != text_of(without)


@pytest.mark.parametrize("text", ['copy = ["a:/b"]', "project = true", 'user = "me"'])
def test_a_step_that_executes_nothing_has_no_network(text: str) -> None:
    with_network, without = (
        steps_of(table(f'{text}\nnetwork = "{network}"'))[0] for network in ImageNetwork
    )

    assert text_of(with_network) == text_of(without)


def test_changes_are_written_for_the_version_that_takes_them() -> None:
    [step] = steps_of(table("env = { A = '$b' }\nworkdir = '/a b'"))

    assert changes_of(step, literal=True) == ('ENV A="$b"', "WORKDIR /a b")
    assert changes_of(step, literal=False) == ('ENV A="\\$b"', 'WORKDIR "/a b"')


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('run = ["a\\n\\tb \\u001b[0m"]', "RUN a b"),
        (f'run = ["{"x" * 100}"]', f"RUN {'x' * 55}…"),
        ('toolchain = "c"\npackages = ["less"]', "packages: c toolchain, less"),
        ('copy = ["a:/b"]', "COPY a /b"),
        ("project = true", "the project to /workspace"),
        ('env = { A = "1" }\nworkdir = "/w"', "ENV A=1, WORKDIR /w"),
        ('run = ["make"]\nenv = { A = "1" }', "RUN make (with ENV A=1)"),
    ],
)
def test_a_title_is_one_short_line(text: str, title: str) -> None:
    [step] = steps_of(table(text))

    assert title_of(step) == title
