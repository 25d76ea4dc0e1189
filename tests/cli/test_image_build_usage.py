"""Mistakes with `barasync image build`: a sentence, a hint, an exit code, and no podman asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rig.command import Barasync

DECLARED = """
[images.base]
from = "localhost/x"
run = ["true"]
[images.tool]
from = "base"
[images.own]
from = "localhost/own:latest-amd64"
"""


@pytest.fixture
def barasync(tmp_path: Path) -> Barasync:
    """The command line in a project with two images, with no podman to be found."""
    directory = tmp_path / "project"
    directory.mkdir()
    command = Barasync(
        directory, None, {"PATH": "/nonexistent", "HOME": str(tmp_path), "TERM": "dumb"}
    )
    command.configure(DECLARED)
    return command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bsae",), "declares no image 'bsae'; did you mean 'base'?"),
        (("base", "--arch", "amd46"), "did you mean 'amd64'"),
        (("base", "--tag", "Tool:1"), "--tag: "),
        (("base", "--tag", "localhost/barasync/step:1"), "a name of barasync's own"),
        (("base", "tool", "--tag", "mine:1"), "--tag names one image, and 2 are to be built"),
        (("base", "--jobs", "0"), "--jobs"),
        (("base", "--tag", f"mine:{'x' * 128}", "--tag-each"), "is longer than 128 characters"),
        (("own", "--tag-each"), "'own' begins with localhost/own:latest-amd64"),
        (("base", "--nonsense"), "there is no option '--nonsense'"),
        ((), "NAME is missing"),
    ],
)
def test_a_mistake_has_its_sentence_and_its_code(
    barasync: Barasync, words: tuple[str, ...], said: str
) -> None:
    ended = barasync("image", "build", *words)

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_without_a_project_there_is_nothing_to_build(barasync: Barasync) -> None:
    (barasync.directory / "barasync.toml").unlink()

    ended = barasync("image", "build", "base")

    assert ended.code == 2
    assert "there is no image 'base': neither " in ended.err
    assert "nor a directory above it has a barasync.toml" in ended.err


def test_a_project_that_is_a_home_is_no_image(barasync: Barasync, tmp_path: Path) -> None:
    (tmp_path / "barasync.toml").write_text('[images.a]\nfrom = "x"\nproject = true\n')
    (barasync.directory / "barasync.toml").unlink()

    ended = barasync("image", "build", "a")

    assert ended.code == 2
    assert "is hardly a project" in ended.err
