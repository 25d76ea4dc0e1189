"""The options of `barasync image bootstrap`: they take the place of what the file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rig.command import Barasync

DECLARED = """
[images.small.bootstrap]
suite = "trixie"
mirrors = ["http://mirror.example/debian"]
"""


@pytest.fixture
def barasync(tmp_path: Path) -> Barasync:
    """The command line in a project with an image, with no podman to be found."""
    directory = tmp_path / "project"
    directory.mkdir()
    command = Barasync(directory, None, {"PATH": "/nonexistent", "HOME": str(tmp_path)})
    command.configure(DECLARED)
    return command


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--mirror", "mirror", "images.small.bootstrap.mirrors: 'mirror' is not the address"),
        ("--component", "main,con trib", "images.small.bootstrap.components: 'con trib' is not"),
        ("--snapshot", "today", "images.small.bootstrap.snapshot: 'today' is not the date"),
        ("--signed-by", "none.gpg", "project/none.gpg cannot be read: No such file"),
        ("--arch", "amd64,armv6", "'small' cannot be made for linux/arm/v6"),
        ("--variant", "all", "'all' is not one of 'extract', 'custom', 'essential'"),
    ],
)
def test_a_mistake_in_an_option_is_told_without_a_podman(
    barasync: Barasync, option: str, value: str, said: str
) -> None:
    ended = barasync("image", "bootstrap", "small", option, value)

    assert ended.code == (5 if option == "--arch" else 2)
    assert said in " ".join(ended.err.replace("│", " ").split())


def test_good_options_get_as_far_as_podman(barasync: Barasync) -> None:
    options = ("--variant", "apt", "--mirror", "http://a/debian", "--component", "main,contrib")

    ended = barasync("image", "bootstrap", "small", *options, "--allow-expired")

    assert ended.code == 4
    assert "podman" in ended.err
