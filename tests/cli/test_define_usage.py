"""Settings of the command line as a person gives them, right and wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.rig.command import Barasync


@pytest.fixture
def barasync(tmp_path: Path) -> Barasync:
    """The command line in an empty project, with no podman to be found."""
    directory = tmp_path / "project"
    directory.mkdir()
    environ = {"PATH": "/nonexistent", "HOME": str(tmp_path), "TERM": "dumb"}
    return Barasync(directory, None, environ)


def test_a_setting_of_the_command_line_is_shown_with_its_place(barasync: Barasync) -> None:
    ended = barasync(
        *("matrix", "tests", "--plan", "--json", "--image=x", "--config=a"),
        *("--define=config.a.timeout=7", "--define=network.web.allow=443/tcp"),
        "--network=web",
    )

    assert ended.code == 0, ended.err
    (cell,) = json.loads(ended.out)["cells"]
    assert cell["settings"]["timeout"] == {"value": 7.0, "source": "--define config.a.timeout"}
    assert cell["policy"]["allow"] == ["443/tcp"]


@pytest.mark.parametrize("command", ["run", "shell"])
def test_a_configuration_has_to_be_there_and_one_of_the_command_line_is(
    barasync: Barasync, command: str
) -> None:
    words = (command, "--config=a", "--workspace=none", "x", "--", "true")

    refused = barasync(*words)
    assert (refused.code, refused.out) == (2, "")
    assert "--config: there is no configuration 'a', there is no barasync.toml" in refused.err
    assert "--define config.a.KEY=VALUE" in refused.err
    taken = barasync(*words[:2], "--define=config.a.timeout=7", *words[2:])
    assert "configuration" not in taken.err


@pytest.mark.parametrize(
    "words",
    [
        ("matrix", "tests"),
        ("run", "x"),
        ("shell", "x"),
        ("image", "build", "x"),
        ("image", "containerfile", "x"),
        ("network", "show", "x"),
    ],
)
def test_every_command_that_takes_settings_refuses_a_mistake_before_anything_else(
    barasync: Barasync, words: tuple[str, ...]
) -> None:
    command, *others = words
    word = () if command in {"matrix", "run", "shell"} else (others.pop(0),)

    ended = barasync(command, *word, "--define=network.web.alow=443/tcp", *others)

    assert (ended.code, ended.out) == (2, "")
    assert "--define network.web.alow: unknown key; did you mean 'allow'?" in ended.err
    assert "allowed here: allow, base," in ended.err


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("pubic", 2, "--network: there is no network 'pubic'; did you mean 'public'?"),
        ("corp", 4, "podman cannot be reached"),
    ],
)
def test_a_network_that_only_podman_may_know_is_told_from_one_that_is_misspelt(
    barasync: Barasync, name: str, code: int, said: str
) -> None:
    ended = barasync("run", f"--network={name}", "x", "--", "true")

    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
