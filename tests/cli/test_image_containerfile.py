from __future__ import annotations

from pathlib import Path

import pytest

from tests.rig.command import Barasync

DECLARED = """
[images.base]
bootstrap = { suite = "trixie" }

[images.tools]
from = "base"
run = ["make tools", "a\\nb"]
"""


@pytest.fixture
def barasync(tmp_path: Path) -> Barasync:
    """The command line in a project that declares images, with no podman to be found."""
    directory = tmp_path / "project"
    directory.mkdir()
    environ = {"PATH": "/nonexistent", "HOME": str(tmp_path), "TERM": "dumb"}
    command = Barasync(directory, None, environ)
    command.configure(DECLARED)
    return command


def test_a_declared_image_is_printed_as_a_containerfile(barasync: Barasync) -> None:
    ended = barasync("image", "containerfile", "tools", "--arch", "aarch64")

    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[2] == "# made by: barasync image bootstrap base --arch arm64"
    assert lines[3].startswith("FROM localhost/barasync/base:arm64-")
    assert lines[3].endswith(" AS base")
    assert lines[5:] == [
        "FROM base AS tools",
        "RUN make tools",
        'RUN ["/bin/sh", "-c", "a\\n\\',
        'b"]',
    ]


def test_there_is_one_for_each_architecture(barasync: Barasync) -> None:
    ended = barasync("image", "containerfile", "tools", "--arch", "amd64,s390x")

    headers = [line for line in ended.out.splitlines() if line.startswith("# tools for")]
    assert [header.split()[3] for header in headers] == ["linux/amd64,", "linux/s390x,"]


def test_heredocs_are_written_where_asked_for(barasync: Barasync) -> None:
    ended = barasync("image", "containerfile", "tools", "--heredocs")

    assert ended.out.splitlines()[-4:] == ["RUN <<'EOF'", "a", "b", "EOF"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tolls"], "barasync.toml declares no image 'tolls'; did you mean 'tools'?"),
        (["tools", "--arch", "amr64"], "did you mean 'arm64'?"),
    ],
)
def test_what_is_not_known_is_named(barasync: Barasync, words: list[str], said: str) -> None:
    ended = barasync("image", "containerfile", *words)

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_one_of_the_command_line_needs_no_file_and_says_what_a_builder_would_not_find(
    barasync: Barasync, tmp_path: Path
) -> None:
    (barasync.directory / "barasync.toml").unlink()
    image = ("--define=images.a.from=debian:13", "--define=images.a.copy=../else:/x")

    ended = barasync("image", "containerfile", *image, "--define=images.a.copy=b:/y", "a")

    assert (ended.code, ended.err) == (0, "")
    assert f"# not in the project, where a builder looks for it: '{tmp_path}/else'\n" in ended.out
    assert "COPY b /y\n" in ended.out


def test_a_mistake_of_the_command_line_ends_with_2_and_names_it(barasync: Barasync) -> None:
    ended = barasync("image", "containerfile", "--define=images.a.form=debian:13", "a")

    assert (ended.code, ended.out) == (2, "")
    assert "--define images.a.form: unknown key; did you mean 'from'?" in ended.err
