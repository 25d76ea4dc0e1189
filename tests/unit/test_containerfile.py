from __future__ import annotations

import re
from pathlib import Path

import pytest

from barasync.config.load import parse
from barasync.config.origin import Origin
from barasync.images.containerfile import (
    Cmd,
    Copy,
    Entrypoint,
    Env,
    From,
    Instruction,
    Label,
    Run,
    User,
    Workdir,
    change,
    render,
)
from barasync.images.equivalent import containerfile_of
from barasync.matrix.platforms import parse as platform
from tests.unit.containerfile_reader import read

GOLDEN = Path(__file__).parents[1] / "data" / "containerfiles"


@pytest.mark.parametrize(
    ("instruction", "line"),
    [
        (From("debian:trixie"), "FROM debian:trixie"),
        (From("debian:trixie", "base"), "FROM debian:trixie AS base"),
        (Run("make all"), "RUN make all"),
        (Run("[ -d x ]"), 'RUN ["/bin/sh", "-c", "[ -d x ]"]'),
        (Run("a\nb\n"), 'RUN ["/bin/sh", "-c", "a\\n\\\nb\\n\\\n"]'),
        (Run("a\n  # b"), 'RUN ["/bin/sh", "-c", "a\\n\\\n  \\u0023 b"]'),
        (Copy("a", "/b"), "COPY a /b"),
        (Copy("-a", "/b"), "COPY ./-a /b"),
        (Copy("a b", "/$c"), 'COPY ["a b", "/\\\\$c"]'),
        (Copy("a", "/b", "1:2"), "COPY --chown=1:2 a /b"),
        (Env("A", "b"), "ENV A=b"),
        (Env("A", ""), 'ENV A=""'),
        (Env("A", '$b "c" \\'), r'ENV A="\$b \"c\" \\"'),
        (Workdir("/a b"), 'WORKDIR "/a b"'),
        (User("1000:1000"), "USER 1000:1000"),
        (Label("a.b", "c d"), 'LABEL a.b="c d"'),
        (Cmd(("a", "é\n")), 'CMD ["a", "é\\n"]'),
        (Cmd(()), "CMD []"),
        (Entrypoint(("a",)), 'ENTRYPOINT ["a"]'),
    ],
)
def test_each_instruction_has_one_way_to_be_written(instruction: Instruction, line: str) -> None:
    assert render([instruction]) == f"{line}\n"


@pytest.mark.parametrize(
    ("script", "written"),
    [
        ("a\nb", "<<'EOF'\na\nb\nEOF"),
        ("a\nEOF\n EOF1\n", "<<'EOF2'\na\nEOF\n EOF1\nEOF2"),
        ("one line", "one line"),
        ("cat <<EOF", '["/bin/sh", "-c", "cat <<EOF"]'),
        ("#!/bin/cat\nb", '["/bin/sh", "-c", "\\u0023!/bin/cat\\n\\\nb"]'),
        ("a\n\\", '["/bin/sh", "-c", "a\\n\\\n\\\\"]'),
    ],
)
def test_a_heredoc_is_written_where_it_means_the_same(script: str, written: str) -> None:
    assert render([Run(script)], heredocs=True) == f"RUN {written}\n"


def test_a_change_is_quoted_for_the_podman_that_reads_it() -> None:
    assert change(Env("A", '$b "c"'), literal=True) == 'ENV A="$b "c""'
    assert change(Env("A", '$b "c"'), literal=False) == r'ENV A="\$b \"c\""'
    assert change(Workdir("/a b"), literal=True) == "WORKDIR /a b"
    assert change(Workdir("/a b"), literal=False) == 'WORKDIR "/a b"'


def golden(name: str, image: str, *, heredocs: bool = False) -> str:
    text = (GOLDEN / f"{name}.toml").read_text()
    images = parse(text, Origin()).images
    written = containerfile_of(image, images, platform("riscv64"), heredocs=heredocs)
    return re.sub(r"(:riscv64-)[0-9a-f]{12}\b", r"\1KEY", written)


@pytest.mark.parametrize(
    ("name", "image", "heredocs"),
    [
        ("chain", "project", False),
        ("chain", "project", True),
        ("values", "values", False),
        ("values", "values", True),
        ("own-file", "more", False),
    ],
)
def test_the_containerfile_of_a_declared_image_is_exactly_this(
    name: str, image: str, heredocs: bool
) -> None:
    expected = GOLDEN / f"{name}.{'heredocs' if heredocs else 'portable'}"

    assert golden(name, image, heredocs=heredocs) == expected.read_text()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.heredocs")), ids=lambda path: path.stem)
def test_both_forms_of_a_golden_file_are_read_alike(path: Path) -> None:
    def scripts(text: str) -> list[tuple[str, ...]]:
        return [tuple(word.strip("\n") for word in each.words) for each in read(text)]

    portable = path.with_suffix(".portable").read_text()
    assert scripts(path.read_text()) == scripts(portable)
