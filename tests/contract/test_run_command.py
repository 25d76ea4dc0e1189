"""`barasync run` on real podman: its image, and how its words are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rig.command import Barasync, read_until
from tests.rig.services import RigService

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def barasync(service: RigService, no_run_stays: None, tmp_path: Path) -> Barasync:
    """The command line in an empty project; nothing of a run is left after it."""
    del no_run_stays
    project = tmp_path / "project"
    project.mkdir()
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return Barasync(project, service.endpoint.url, environ, timeout=100)


BAR = b"""#!/bin/sh
echo "${BAR_IS-image}: $*"
for each; do echo "<$each>"; done
echo made >made
"""


@pytest.fixture
def ruled(barasync: Barasync, busybox: str, no_image_stays: None) -> Barasync:
    """A project with an image of a `bar` that says which it is, and its arguments."""
    del no_image_stays
    script(barasync.directory / "image-bar", BAR)
    barasync.configure(
        f"""
        [images.ruled]
        from = "{busybox}"
        copy = ["image-bar:/usr/local/bin/bar"]
        """
    )
    return barasync


def script(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    path.chmod(0o755)


# Of which image


def test_the_image_of_the_settings_is_that_of_the_configuration(
    barasync: Barasync, busybox: str
) -> None:
    barasync.configure(
        f"""
        [defaults]
        image = "localhost/of-no-configuration"
        [config.small]
        image = "{busybox}"
        env = {{ OF = "small" }}
        """
    )

    ended = barasync("run", "-", "--config", "small", "--", "sh", "-c", "echo $OF")

    assert (ended.code, ended.out) == (0, "small\n"), ended.err


def test_the_image_of_settings_that_have_none_is_said_before_anything_runs(
    barasync: Barasync,
) -> None:
    ended = barasync("run", "-", "--", "true")

    assert (ended.code, ended.out) == (2, "")
    assert "no image is given for cell" in ended.err
    assert "name one in place of -" in ended.err


# How its words are read


@pytest.mark.parametrize("reading", ["auto", "rule"])
def test_a_word_that_is_no_program_is_a_rule_of_the_images_bar(
    ruled: Barasync, reading: str
) -> None:
    ended = ruled("run", "--as", reading, "ruled", "--", "tests", "a b", "*", "", "-x")

    assert (ended.code, ended.out) == (0, "image: tests a b *  -x\n<tests>\n<a b>\n<*>\n<>\n<-x>\n")


@pytest.mark.parametrize("words", [("echo", "{rule}", "a b"), ("/bin/echo", "{rule}", "a b")])
def test_a_word_that_is_a_program_of_the_image_is_a_command(
    ruled: Barasync, words: tuple[str, ...]
) -> None:
    ended = ruled("run", "--as", "auto", "ruled", "--", *words)

    assert (ended.code, ended.out) == (0, "{rule} a b\n"), ended.err


def test_a_command_is_one_whatever_bar_has(ruled: Barasync) -> None:
    ended = ruled("run", "--as", "command", "ruled", "--", "tests")

    assert (ended.code, ended.out) == (127, "")


def test_without_a_bar_a_word_is_a_command(barasync: Barasync, busybox: str) -> None:
    ended = barasync("run", "--as", "auto", busybox, "--", "tests")

    assert (ended.code, ended.out) == (127, "")
    assert "tests" in ended.err


def test_the_bar_of_the_working_directory_comes_first_outside_of_a_project_too(
    barasync: Barasync, busybox: str
) -> None:
    script(barasync.directory / "bar", BAR)

    rule = barasync("run", "--as", "auto", "--env", "BAR_IS=own", busybox, "--", "tests")
    command = barasync("run", "--as", "auto", busybox, "--", "ls")
    alone = barasync("run", busybox, "--", "ls")

    assert (rule.code, rule.out) == (0, "own: tests\n<tests>\n"), rule.err
    assert command.out == "bar\n"
    assert alone.out != command.out


def test_a_rule_in_an_image_without_bash_says_what_it_lacks(
    barasync: Barasync, busybox: str
) -> None:
    script(barasync.directory / "bar", b"#!/bin/bash\necho never\n")

    ended = barasync("run", "--as", "rule", busybox, "--", "tests")

    assert (ended.code, ended.out) == (127, ""), ended.err
    assert f"barasync: `./bar` was not executed: image {busybox} has no bash\n" in ended.err


@pytest.mark.parametrize("where", [(), ("--workdir", "/workspace"), ("--workdir", "/tmp")])
def test_the_bar_on_a_volume_in_place_of_the_workspace_comes_first_too(
    barasync: Barasync, busybox: str, where: tuple[str, ...]
) -> None:
    script(barasync.directory / "bar", BAR)
    volume = f"{barasync.directory}:/workspace:z"
    words = ("--workspace", "none", "--volume", volume, *where, busybox, "--")

    rule = barasync("run", "--as", "auto", *words, "tests")
    command = barasync("run", "--as", "auto", *words, "ls", "/workspace/bar")

    assert rule.out == "image: tests\n<tests>\n", rule.err
    assert command.out == "/workspace/bar\n", command.err


def test_the_path_that_a_cell_is_given_decides_what_is_a_program(ruled: Barasync) -> None:
    script(ruled.directory / "image-bar", BAR)
    words = ("run", "--as", "auto", "--env", "PATH=/usr/local/bin:/nowhere", "ruled", "--")

    # The bar is a script of /bin/sh, and all that this PATH leads to; `echo` is a rule of it then.
    ended = ruled(*words, "ls")

    assert ended.out.startswith("image: ls\n"), ended.err


def test_a_rule_runs_as_in_the_matrix_and_a_command_leaves_nothing_of_rules(
    ruled: Barasync,
) -> None:
    file = ruled.directory / "barasync.toml"
    settings = """
        [defaults]
        image = "ruled"
        command = ["sh", "-c", "echo $0 {args}; echo {cell} >made", "{rule}"]
        artifacts = ["made"]
        """
    file.write_text(settings + file.read_text())

    rule = ruled("run", "--as", "auto", "-", "--", "tests", "a b")
    made = sorted(path.name for path in ruled.record().glob("artifacts/*/made"))
    command = ruled("run", "--as", "auto", "-", "--", "echo", "tests")

    assert (rule.code, rule.out) == (0, "tests a b\n"), rule.err
    assert made == ["made"]
    assert (command.code, command.out) == (0, "tests\n"), command.err
    assert list(ruled.record().glob("artifacts/*/made")) == []
    assert ruled.result()["rule"] == "echo tests"


def test_what_an_image_has_is_looked_for_once(ruled: Barasync) -> None:
    words = ("run", "--as", "auto", "ruled", "--", "tests")
    assert ruled(*words).out.startswith("image: tests\n")
    kept = Path(ruled.environ["XDG_CACHE_HOME"], "barasync", "programs.json")
    text = kept.read_text()
    assert '"name":"tests","found":false' in text

    # What is believed now was not looked for.
    kept.write_text(text.replace('"name":"tests","found":false', '"name":"tests","found":true'))

    assert ruled(*words).code == 127


def test_a_container_that_goes_on_can_be_a_rules(ruled: Barasync) -> None:
    script(ruled.directory / "image-bar", b"#!/bin/sh\necho ready $*; exec sleep 1000\n")
    started = ruled("run", "--detach", "--as", "auto", "ruled", "--", "serve")
    name = started.out.strip()
    try:
        with ruled.running("container", "logs", "--follow", name) as process:
            read_until(process, "ready serve", 1)
    finally:
        removed = ruled("container", "remove", "--force", name)

    assert (started.code, removed.code) == (0, 0), started.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--as", "rule", "x"), "COMMAND: no rule is named"),
        (("--as", "rule", "x", "--", ""), "COMMAND: no rule is named"),
        (("--as", "rul", "x", "--", "tests"), "'rul' is not one of"),
    ],
)
def test_words_that_cannot_be_read_so_are_refused(
    barasync: Barasync, words: tuple[str, ...], said: str
) -> None:
    ended = barasync("run", *words)

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
