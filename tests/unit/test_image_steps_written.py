"""`steps` of an image: what is written, in its order, and what is done for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from barasync.config.load import load_with, parse
from barasync.config.origin import Origin
from barasync.config.schema import ImageNetwork, ImageTable
from barasync.errors import ConfigError
from barasync.images.containerfile import Env, Label, User, Workdir
from barasync.images.equivalent import containerfile_of
from barasync.images.steps import (
    CopyStep,
    PackagesStep,
    RunStep,
    SettingsStep,
    steps_of,
    text_of,
    title_of,
)
from barasync.matrix.platforms import parse as platform

HEAD = '[images.x]\nfrom = "debian:trixie"\n'


def table(text: str) -> ImageTable:
    return parse(f"{HEAD}{text}", Origin()).images["x"]


def test_steps_are_done_in_the_order_in_which_they_are_written() -> None:
    steps = steps_of(
        table("""
steps = ["run one", "env A=1", "copy a b:/c d", "run two", "run three", "package make",
         "package less", "package make", "workdir /w", "run four"]
network = "none"
""")
    )

    assert steps[0] == RunStep("one", ImageNetwork.NONE)
    assert steps[1] == CopyStep("a b", "/c d", settings=(Env("A", "1"),))
    assert steps[2:4] == (RunStep("two", ImageNetwork.NONE), RunStep("three", ImageNetwork.NONE))
    assert isinstance(steps[4], PackagesStep)
    assert (steps[4].names, steps[4].network) == (("make", "less"), ImageNetwork.NONE)
    assert steps[5:] == (RunStep("four", ImageNetwork.NONE, settings=(Workdir("/w"),)),)


def test_a_user_is_set_before_the_step_that_is_executed_as_it() -> None:
    steps = steps_of(table('steps = ["env A=1", "user me", "workdir /w", "run id", "user root"]'))

    assert steps == (
        SettingsStep((Env("A", "1"), User("me"), Workdir("/w"))),
        RunStep("id"),
        SettingsStep((User("root"),)),
    )


def test_tools_come_before_the_steps_and_labels_at_their_end() -> None:
    text = 'dev = true\ntoolchain = "c"\nsteps = ["run make", "env A=1"]\nlabels = { l = "2" }'
    tools, ran, last = steps_of(table(text))

    assert isinstance(tools, PackagesStep)
    assert tools.names == ("c toolchain", "dev tools")
    assert ran == RunStep("make")
    assert last == SettingsStep((Env("A", "1"), Label("l", "2")))


def test_a_step_is_the_same_however_it_is_written() -> None:
    ordered = steps_of(table('env = { A = "1" }\ncopy = ["a:/b"]\nrun = ["make\\n"]'))
    written = steps_of(table('steps = ["env A=1", "copy a:/b", "run make\\n"]'))

    assert written == ordered


@pytest.mark.parametrize("value", ["", "=", "a b", '"$HOME"', "x'y\\", " "])
def test_the_value_of_a_variable_is_all_behind_the_first_equals_sign(value: str) -> None:
    [step] = steps_of(ImageTable(from_="x", steps=[f"env A={value}"]))

    assert step == SettingsStep((Env("A", value),))


def test_what_is_copied_is_looked_for_in_the_context() -> None:
    steps = steps_of(table('context = "./sub/"\nsteps = ["copy a/../b:/b", "copy .:/all"]'))
    keyed = steps_of(table('context = "sub"\ncopy = ["b:/b"]'))

    assert steps == (CopyStep("sub/b", "/b"), CopyStep("sub", "/all"))
    assert keyed == (CopyStep("sub/b", "/b"),)


def test_the_context_of_a_containerfile_is_not_that_of_what_is_laid_on_it() -> None:
    text = '[images.x]\ncontainerfile = "File"\ncontext = "sub"\ncopy = ["b:/b"]'

    assert steps_of(parse(text, Origin()).images["x"]) == (CopyStep("b", "/b"),)


def test_where_a_copy_from_outside_lies_says_nothing_of_what_it_is() -> None:
    one = CopyStep("/tmp/one/bar", "/usr/bin/")
    other = replace(one, source="/tmp/other/bar")

    assert text_of(one) == text_of(other) == "COPY bar /usr/bin/\n"
    assert text_of(one) != text_of(replace(one, source="/tmp/one/barf"))
    assert text_of(CopyStep("a/b", "/c")) != text_of(CopyStep("x/b", "/c"))


def test_a_copy_on_the_command_line_starts_where_the_command_does(tmp_path: Path) -> None:
    (tmp_path / "barasync.toml").write_text("")
    words = ("from=x:1", "steps=copy a b:/b", "steps=run cp x:/y", "steps=copy ../../o:/o")
    definitions = [f"images.x.{word}" for word in words]

    found, _ = load_with(tmp_path / "barasync.toml", definitions, tmp_path / "sub")

    assert steps_of(found.images["x"]) == (
        CopyStep("sub/a b", "/b"),
        RunStep("cp x:/y"),
        CopyStep(f"{tmp_path.parent}/o", "/o"),
    )


def test_a_name_with_something_of_a_pattern_is_one_where_the_command_line_has_it(
    tmp_path: Path,
) -> None:
    words = ("from=x:1", "env.A=1", "copy=a*b [c]?:/d", "copy=e\\f:/f")
    found, _ = load_with(None, [f"images.x.{word}" for word in words], tmp_path)

    one, other = steps_of(found.images["x"])

    assert one == CopyStep("a*b [c]?", "/d", settings=(Env("A", "1"),))
    assert text_of(one) != text_of(replace(one, source="a*b [c]*"))
    assert title_of(one) == 'COPY ["a*b [c]?", "/d"] (with ENV A=1)'
    assert text_of(other) == 'COPY ["e\\\\f", "/f"]\n'
    with pytest.raises(ConfigError, match="a Containerfile has no way to copy 'a"):
        containerfile_of("x", found.images, platform("arm64"))


def test_of_a_context_outside_copies_are_outside(tmp_path: Path) -> None:
    words = ("from=x:1", "context=/far/away", "steps=copy a:/b", "steps=copy sub/../c:/c")

    found, _ = load_with(None, [f"images.x.{word}" for word in words], tmp_path)

    steps = steps_of(found.images["x"])
    assert steps == (CopyStep("/far/away/a", "/b"), CopyStep("/far/away/c", "/c"))


def test_the_containerfile_has_the_steps_in_their_order_and_the_user_of_each() -> None:
    text = f'{HEAD}steps = ["user me", "package less", "run id", "user root", "package make"]\n'
    text += '[images.y]\nfrom = "x"\npackages = ["gdb"]\n'

    written = containerfile_of("y", parse(text, Origin()).images, platform("arm64"))

    told = [line.split() for line in written.splitlines() if line.startswith(("USER", "RUN id"))]
    assert told == [
        ["USER", "me"],
        ["USER", "root"],  # to install packages
        ["USER", "me"],
        ["RUN", "id"],
        ["USER", "root"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('steps = ["run a", "runn make"]', "steps[1]: 'runn make' is no step; did you mean 'run'?"),
        ('steps = [""]', "steps[0]: '' is no step"),
        ('steps = ["label a=b"]', "steps[0]: 'label a=b' is no step"),
        ('steps = ["run"]', "steps[0]: the command is empty"),
        ('steps = ["run -x"]', "steps[0]: /bin/sh takes what begins with - or + for options"),
        ('steps = ["env A"]', "steps[0]: 'A' is not NAME=VALUE"),
        ('steps = ["env A B=1"]', "steps[0]: 'A B' cannot name a variable of an image"),
        ('steps = ["env P=$P:/x"]', "steps[0]: no $NAME in a value is expanded"),
        ('steps = ["env A=1\\n"]', "steps[0]: the value of an image can have no newline"),
        ('steps = ["copy a"]', "steps[0]: 'a' is not SRC:DST"),
        ('steps = ["copy ../a:/b"]', "steps[0]: '../a' is not in the project"),
        ('steps = ["copy /a:/b"]', "steps[0]: '/a' is not in the project"),
        ('steps = ["copy *.c:/b"]', "steps[0]: '*.c' has one of * ? [ \\ in it"),
        ('context = "sub"\nsteps = ["copy ../a:/b"]', "steps[0]: '../a' is not in the project"),
        ('steps = ["workdir here"]', "steps[0]: 'here' is not an absolute path"),
        ('steps = ["user a b"]', "steps[0]: 'a b' is not a user"),
        ('steps = ["package --x"]', "steps[0]: '--x' is not the name of a package"),
        (
            'steps = ["run a"]\nrun = ["b"]',
            "steps: it says an order, in which `run` would have no place",
        ),
        (
            'steps = ["run a"]\nenv = { A = "1" }\nuser = "me"',
            "steps: it says an order, in which `env` and `user` would have no place",
        ),
        ('context = "sub"\nrun = ["a"]', "context: there is no `containerfile` that would see it"),
        ('context = "../sub"\ncopy = ["a:/b"]', "context: '../sub' is not in the project"),
    ],
)
def test_a_step_that_cannot_be_meant_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table(text)

    assert str(caught.value).startswith(f"barasync.toml: images.x.{message}")


def test_a_package_on_packages_that_are_only_unpacked_is_named() -> None:
    text = '[images.x]\nbootstrap = { suite = "trixie" }\nsteps = ["run a", "package b"]'

    with pytest.raises(ConfigError, match=r"images\.x\.steps\[1\]: the packages of 'x'"):
        parse(text, Origin(directory=Path("/p")))
