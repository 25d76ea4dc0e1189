"""Lists that cannot be as they are asked for, refused before podman is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rig.command import Barasync


@pytest.fixture
def barasync(tmp_path: Path) -> Barasync:
    """The command line where no podman is to be found."""
    return Barasync(tmp_path, None, {"PATH": "/nonexistent", "HOME": str(tmp_path)})


@pytest.mark.parametrize("words", [("image",), ("container",), ("network",), ("arch",)])
def test_a_list_has_one_form(barasync: Barasync, words: tuple[str, ...]) -> None:
    ended = barasync(*words, "list", "--json", "--names")

    assert (ended.code, ended.out) == (2, "")
    assert "--json and --names are two forms of one list" in ended.err


def test_a_state_that_no_container_has_is_refused_with_those_that_there_are(
    barasync: Barasync,
) -> None:
    ended = barasync("container", "list", "--state", "dead")

    assert (ended.code, ended.out) == (2, "")
    assert "'dead' is not one of" in ended.err
    assert "'exited'" in ended.err
