"""The scripts a newcomer types first: what they refuse, and what they stand on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of the project with nothing on standard input and a bare environment."""
    environ = {"PATH": str(path or "/usr/sbin:/usr/bin:/sbin:/bin"), "HOME": "/nonexistent"}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("setup", "--nonsense"),
        ("demo", "nonsense"),
        ("bench", "nonsense"),
        ("soak", "nonsense"),
        ("lint", "nonsense"),
        ("lock", "nonsense"),
        ("clean-room", "nonsense"),
    ],
    ids=lambda words: words[0],
)
def test_a_wrong_argument_is_answered_with_the_usage(words: tuple[str, str]) -> None:
    name, argument = words
    result = run(ROOT / "script" / name, argument)
    assert result.returncode == 2
    assert result.stderr.startswith(f"usage: script/{name}")


@pytest.fixture
def bare_host(tmp_path: Path) -> Path:
    """A PATH of a system that is neither Debian nor has podman or sudo."""
    for name in ("bash", "dirname"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    return tmp_path


def source(text: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell with the functions of script/host.bash."""
    return run("bash", "-c", f"set -euo pipefail; source script/host.bash; {text}", path=path)


def test_where_podman_cannot_be_installed_the_packages_are_named(bare_host: Path) -> None:
    result = run(ROOT / "script" / "setup", "--demo", path=bare_host)
    assert result.returncode == 4
    assert "podman is missing" in result.stderr
    assert "crun conmon" in result.stderr


def test_another_distribution_with_podman_is_taken_at_its_word(bare_host: Path) -> None:
    (bare_host / "podman").symlink_to(bare_host / "bash")
    result = source("need_packages podman crun", bare_host)
    assert result.returncode == 0
    assert "podman crun" in result.stderr


def test_without_root_and_sudo_it_says_so(bare_host: Path) -> None:
    # The text and not the file, and no directory: another user need not be able to read them.
    functions = (ROOT / "script" / "host.bash").read_text()
    nobody = 65534
    result = subprocess.run(
        [(bare_host / "bash").resolve(), "-c", f"set -euo pipefail; {functions}\nbecome_root"],
        cwd="/",
        env={"PATH": "/nonexistent"},
        user=nobody if os.getuid() == 0 else None,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (result.returncode, "needs root" in result.stderr) == (4, True), result.stderr


def test_a_command_that_fails_shows_what_it_printed_and_one_that_passes_does_not() -> None:
    both = source("quietly echo unseen; quietly sh -c 'echo seen; exit 3'", Path("/usr/bin"))
    assert both.returncode == 3
    assert both.stderr == "seen\n"
    assert both.stdout == ""


def requirements(document: dict[str, Any]) -> set[str]:
    """Return the names of everything that a pyproject.toml asks for by itself."""
    asked = [
        *document["build-system"]["requires"],
        *document["project"]["dependencies"],
        *(one for group in document["dependency-groups"].values() for one in group),
    ]
    return {re.split(r"[<>=\[ ]", one, maxsplit=1)[0] for one in asked}


def test_every_requirement_has_its_version_in_the_constraints() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if not line.startswith("#")}
    assert {name.lower() for name in requirements(document)} <= pinned
    assert "pip" in pinned


def test_the_constraints_name_no_place_to_fetch_from() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert re.search(r"://|@ |^-", text, re.MULTILINE) is None
