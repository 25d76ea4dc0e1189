"""Whatever a value or a script is, a Containerfile's reader gets it as it was."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from barasync.images.containerfile import (
    Cmd,
    Copy,
    Entrypoint,
    Env,
    From,
    Instruction,
    Label,
    Run,
    Setting,
    User,
    Workdir,
    change,
    render,
)
from tests.unit.containerfile_reader import Read, read

SIGNS = st.sampled_from("\\\"'$`#[]{}()<>=,;&|*?!~ \t\r-aé😀\u2028\x01")
LINE = st.text(SIGNS) | st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]))
PATH = LINE.filter(lambda text: text and not set(text) & set("*?[\\"))
LINES = ["EOF", "EOF1", "END", "<<EOF", "# x", "  #", "\\", "RUN x", "", " "]
SCRIPT = st.lists(LINE | st.sampled_from(LINES), min_size=1).map("\n".join)
OWNER = st.sampled_from(["", "1000", "nobody:staff"])
WORDS = st.lists(SCRIPT).map(tuple)


def words_of(instruction: Instruction) -> Read:
    words = tuple(getattr(instruction, field.name) for field in fields(instruction))
    match instruction:
        case From(reference, stage):
            words = (reference, "AS", stage) if stage else (reference,)
        case Run(script):
            words = ("/bin/sh", "-c", script)
        case Copy(source, destination, owner):
            source = f"./{source}" if source.startswith("-") else source
            words = (*([f"--chown={owner}"] if owner else []), source, destination)
        case Cmd(given) | Entrypoint(given):
            words = given
    return Read(type(instruction).__name__.upper(), words)


SETTING = (
    st.builds(Env, st.just("K"), LINE)
    | st.builds(Label, st.just("k.l"), LINE)
    | st.builds(Workdir, LINE.map("/{}".format))
    | st.builds(User, LINE.filter(bool))
    | st.builds(Cmd, WORDS)
    | st.builds(Entrypoint, WORDS)
)
INSTRUCTION = SETTING | st.builds(Run, SCRIPT.filter(bool)) | st.builds(Copy, PATH, PATH, OWNER)


@given(st.lists(INSTRUCTION))
@example([Run("--mount=x y"), Run("[1]"), Run('["a"]'), Run("#"), Run("cat <<EOF")])
@example([Run("x" * 200_000)])
@example([Run("\\" * 70_000)])
@example([Run(" #" * 70_000)])
@example([Run("😀" * 70_000), Run('"' * 70_000)])
@example([Run("x" * 7999 + "\\#\\#" * 9000), Run("a\n" * 9000)])
def test_what_is_written_is_what_is_read(instructions: list[Instruction]) -> None:
    file = [From("a:b"), From("localhost/c@sha256:0", "stage"), *instructions]

    assert read(render(file)) == [words_of(instruction) for instruction in file]


@given(SCRIPT.filter(bool))
@example("#!/bin/cat\na")
@example("a\n\r")
@example("a\nb\\")
@example("a\n" + "x" * 70_000)
@example("EOF\nEOF1\n EOF2\n")
def test_a_heredoc_is_read_as_its_script(script: str) -> None:
    [read_back] = read(render([Run(script)], heredocs=True))

    # The last line of a heredoc ends, which to a shell means the same.
    assert read_back.words[2] in {script, f"{script}\n"}
    if script.endswith("\\"):
        assert read_back.words[2] == script


@given(SETTING)
def test_a_change_for_a_new_podman_is_the_line_of_a_containerfile(setting: Setting) -> None:
    assert f"{change(setting, literal=False)}\n" == render([setting])


@given(LINE)
def test_a_literal_change_has_the_value_between_quotes_that_come_off(value: str) -> None:
    """What podman 4 does: it cuts at the first `=` and takes one quote off each end."""
    assert change(Env("K", value), literal=True) == f'ENV K="{value}"'
    assert change(Label("k", value), literal=True) == f'LABEL k="{value}"'
    assert change(Workdir("/" + value), literal=True) == f"WORKDIR /{value}"


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize(
    "setting", [Env("K", "a\nb"), Label("k", "\n"), Workdir("/a\n"), User("a\nRUN x")]
)
def test_a_newline_cannot_begin_an_instruction_of_its_own(setting: Setting, literal: bool) -> None:
    with pytest.raises(ValueError, match="newline"):
        change(setting, literal=literal)
    with pytest.raises(ValueError, match="newline"):
        render([setting])


@given(LINE, st.sampled_from("*?[\\"), LINE)
def test_a_source_that_would_be_a_pattern_is_not_written(
    before: str, sign: str, after: str
) -> None:
    with pytest.raises(ValueError, match="pattern"):
        render([Copy(before + sign + after, "/x")])
