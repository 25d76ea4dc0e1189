"""The names that `barasync arch` prints."""

from __future__ import annotations

import os

import pytest

from barasync.cli.arch import name_
from barasync.errors import ConfigError
from barasync.matrix.platforms import ARCHITECTURES, Architecture, native

EVERY = pytest.mark.parametrize("row", ARCHITECTURES, ids=lambda row: row.name)


@EVERY
@pytest.mark.parametrize("platform", [False, True])
def test_every_name_of_an_architecture_has_one_usual_name_which_is_its_own(
    row: Architecture, platform: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [name for alias in row.names() for name in (alias, alias.upper(), f"linux/{alias}")]

    for name in names:
        name_(name, platform=platform)
    (usual,) = set(capsys.readouterr().out.splitlines())
    name_(usual, platform=platform)

    assert capsys.readouterr().out == f"{usual}\n"
    assert usual == (str(row.platform) if platform else str(row.platform).removeprefix("linux/"))


def test_without_a_name_it_is_this_machines(capsys: pytest.CaptureFixture[str]) -> None:
    name_()

    own = native(os.uname().machine)
    assert capsys.readouterr().out == f"{own.architecture}/{own.variant}".rstrip("/") + "\n"


def test_an_unknown_name_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="unknown architecture 'arm46'; did you mean 'arm64'"):
        name_("arm46")

    assert capsys.readouterr().out == ""
