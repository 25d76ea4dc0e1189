"""What of a git repository belongs to the project."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync.errors import ConfigError
from barasync.workspace.git import list_ignored, parse_answer
from barasync.workspace.scan import scan
from barasync.workspace.tree import Kind, Tree, TreeChanged
from tests.unit.projects import Swap, git, plain_git, repository, without_privileges, write


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with plain_git():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


def paths(tree: Tree) -> list[str]:
    return [entry.path for entry in tree.entries]


def files(tree: Tree) -> list[str]:
    return [entry.path for entry in tree.entries if entry.kind is not Kind.DIRECTORY]


def test_tracked_and_untracked_files_belong_and_ignored_ones_do_not(project: Path) -> None:
    repository(project, {"a.c": "", "src/b.c": "", ".gitignore": "*.o\nbuild/\n"})
    write(project, {"new.c": "", "a.o": "", "build/x": "", "src/c.o": "", "docs/d": ""})

    assert paths(scan(project)) == [
        ".gitignore",
        "a.c",
        "docs",
        "docs/d",
        "new.c",
        "src",
        "src/b.c",
    ]


def test_a_tracked_file_belongs_although_it_is_ignored(project: Path) -> None:
    repository(project, {"a.o": ""})
    write(project, {".gitignore": "*.o", "b.o": ""})

    assert files(scan(project)) == [".gitignore", "a.o"]


def test_a_deleted_file_is_left_out(project: Path) -> None:
    repository(project, {"a": "", "d/b": ""})
    (project / "d/b").unlink()
    (project / "d").rmdir()

    assert paths(scan(project)) == ["a"]


def test_a_subdirectory_gives_its_own_files_only(project: Path) -> None:
    repository(project, {"outer": "", "sub/inner": "", ".gitignore": "*.o"})
    write(project, {"sub/new": "", "sub/x.o": ""})

    assert paths(scan(project / "sub")) == ["inner", "new"]


def test_a_directory_that_an_outer_repository_ignores_is_taken_as_it_is(project: Path) -> None:
    repository(project, {"a": ""})
    write(project, {".gitignore": "*", "sub/a": "", "sub/d/b": ""})

    assert paths(scan(project / "sub")) == ["a", "d", "d/b"]


def test_our_own_directory_never_belongs(project: Path) -> None:
    repository(project, {"a": "", ".barasync/tracked": "", "sub/.barasync/x": ""})
    write(project, {".barasync/runs/1/log": ""})

    assert paths(scan(project)) == ["a"]


def test_the_files_of_a_submodule_belong(project: Path, tmp_path: Path) -> None:
    library = repository(tmp_path / "library", {"lib.c": "", ".gitignore": "*.o"})
    repository(project, {"a": ""})
    git(project, "submodule", "--quiet", "add", str(library), "vendor/lib")
    write(project, {"vendor/lib/new.c": "", "vendor/lib/x.o": ""})

    assert files(scan(project)) == [
        ".gitmodules",
        "a",
        "vendor/lib/.gitignore",
        "vendor/lib/lib.c",
        "vendor/lib/new.c",
    ]


def test_a_submodule_that_was_not_fetched_is_an_empty_directory(
    project: Path, tmp_path: Path
) -> None:
    library = repository(tmp_path / "library", {"lib.c": ""})
    origin = repository(tmp_path / "origin", {"a": ""})
    git(origin, "submodule", "--quiet", "add", str(library), "lib")
    git(origin, "commit", "--quiet", "--message", "submodule")
    git(tmp_path, "clone", "--quiet", str(origin), str(project))

    assert paths(scan(project)) == [".gitmodules", "a", "lib"]


def test_the_files_of_another_repository_inside_belong(project: Path) -> None:
    repository(project, {"a": ""})
    repository(project / "other", {"b": "", ".gitignore": "*.o"})
    write(project, {"other/c.o": "", "other/deep/d": ""})
    repository(project / "other/third", {"e": ""})

    assert files(scan(project)) == [
        "a",
        "other/.gitignore",
        "other/b",
        "other/deep/d",
        "other/third/e",
    ]


def test_empty_directories_belong_where_git_does_not_ignore_them(project: Path) -> None:
    repository(project, {"a/f": "", ".gitignore": "build/\n/only-here\n*.tmp\n!kept.tmp\n"})
    write(project, {"a/.gitignore": "inner\n", "new/f": "", "b/deep/f": ""})
    write(project, {".git/info/exclude": "excluded\n"})
    empty = (
        *("e", "a/e/one/two", "a/e/three", "new/e", "b/deep/e", "kept.tmp", "a/only-here", "-rf"),
        *(
            "line\nbreak",
            ":x",
            ":!y",
            ":(top)z",
            "[a]",
            "back\\slash",
            '"quoted"',
            os.fsdecode(b"\xff"),
            "größe",
            "*",
            " ",
        ),
    )
    ignored = (
        *("build", "only-here", "x.tmp", "a/inner", "excluded", "a/build/e", "e2/build/x"),
        *(".barasync", "a/.barasync", "e3/.barasync", "e4/.git", "build/e5"),
    )
    for path in (*empty, *ignored):
        (project / path).mkdir(parents=True)
    expected = {"a", "a/e", "a/e/one", "b", "b/deep", "new", "e2", *empty}

    tree = scan(project)

    assert {entry.path for entry in tree.entries if entry.kind is Kind.DIRECTORY} == expected
    assert files(tree) == [".gitignore", "a/.gitignore", "a/f", "b/deep/f", "new/f"]
    assert tree == scan(project)


def test_a_directory_of_ignored_files_alone_does_not_belong(project: Path) -> None:
    """As `python -m venv` makes one, and many tools their caches: what finds it expects more."""
    repository(project, {"a": ""})
    write(project, {".venv/.gitignore": "*\n", ".venv/bin/python": ""})
    (project / ".venv/include").mkdir()

    assert paths(scan(project)) == ["a"]


def test_empty_directories_in_repositories_inside_belong_too(project: Path, tmp_path: Path) -> None:
    library = repository(tmp_path / "library", {"lib.c": "", ".gitignore": "build\n"})
    repository(project, {"a": "", ".gitignore": "e\n"})
    git(project, "submodule", "--quiet", "add", str(library), "vendor/lib")
    git(project, "submodule", "--quiet", "add", str(library), "vendor/empty")
    git(project, "submodule", "--quiet", "deinit", "--force", "vendor/empty")
    repository(project / "other", {"b": ""})
    for path in ("vendor/lib/e/x", "vendor/lib/build/x", "vendor/e", "other/d/e", "vendor/empty/x"):
        (project / path).mkdir(parents=True)

    found = [entry.path for entry in scan(project).entries if entry.kind is Kind.DIRECTORY]

    assert found == [
        *("other", "other/d", "other/d/e", "vendor", "vendor/empty", "vendor/lib"),
        *("vendor/lib/e", "vendor/lib/e/x"),
    ]


def test_empty_directories_of_a_subdirectory_are_its_own(project: Path) -> None:
    repository(project, {"sub/f": "", ".gitignore": "/sub/no\n"})
    for path in ("e", "sub/e/e", "sub/no"):
        (project / path).mkdir(parents=True)

    assert paths(scan(project / "sub")) == ["e", "e/e", "f"]


def test_an_ignored_directory_that_is_closed_to_us_is_no_problem() -> None:
    with tempfile.TemporaryDirectory() as name:
        project = repository(Path(name), {"a": "", ".gitignore": "data\n"})
        project.chmod(0o755)
        (project / "data/closed").mkdir(parents=True)
        (project / "data").chmod(0o700 if os.geteuid() == 0 else 0)
        git(project, "config", "--file", "config", "safe.directory", str(project))
        with pytest.MonkeyPatch.context() as patch, without_privileges():
            patch.setenv("GIT_CONFIG_GLOBAL", str(project / "config"))
            found = paths(scan(project))
        (project / "data").chmod(0o755)

    assert found == [".gitignore", "a", "config"]


def test_an_empty_directory_that_becomes_a_link_meanwhile_lets_nothing_in(
    project: Path, tmp_path: Path
) -> None:
    repository(project, {"a": ""})
    (project / "e/x").mkdir(parents=True)
    write(tmp_path / "host", {"x/key": "", "key": ""})

    swaps = 0
    while True:
        swap = Swap(project / "e", tmp_path / "host", at=swaps + 1)
        assert not {"e/key", "e/x/key"} & set(paths(scan(project, checkpoint=swap)))
        if swap.left:
            break
        swaps += 1
        (project / "e").unlink()
        (project / "old").rename(project / "e")

    assert swaps > 4


def test_a_directory_that_became_a_link_is_the_link_alone(project: Path, tmp_path: Path) -> None:
    repository(project, {"lib/a": ""})
    write(tmp_path / "elsewhere", {"a": "secret"})
    (project / "lib/a").unlink()
    (project / "lib").rmdir()
    (project / "lib").symlink_to(tmp_path / "elsewhere")

    assert paths(scan(project)) == ["lib"]


def test_a_file_that_became_a_directory_is_the_directory(project: Path) -> None:
    repository(project, {"a": ""})
    (project / "a").unlink()
    write(project, {"a/b": ""})

    assert paths(scan(project)) == ["a", "a/b"]


def test_conflicted_files_are_listed_once(project: Path) -> None:
    repository(project, {"a": "1"})
    git(project, "checkout", "--quiet", "-b", "other")
    write(project, {"a": "22"})
    git(project, "commit", "--quiet", "--all", "--message", "2")
    git(project, "checkout", "--quiet", "-")
    write(project, {"a": "333"})
    git(project, "commit", "--quiet", "--all", "--message", "3")
    with pytest.raises(subprocess.CalledProcessError):
        git(project, "merge", "other")

    assert paths(scan(project)) == ["a"]


def test_the_repository_of_a_git_hook_is_not_asked(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(project, {"a": ""})
    other = repository(tmp_path / "other", {"b": ""})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))

    assert paths(scan(project)) == ["a"]


def test_no_program_that_a_repository_names_is_run(project: Path, tmp_path: Path) -> None:
    repository(project, {"a": ""})
    hook = write(tmp_path, {"hook": f"#!/bin/sh\ntouch {tmp_path}/ran\n"}) / "hook"
    hook.chmod(0o755)
    git(project, "config", "core.fsmonitor", str(hook))

    scan(project)

    assert not (tmp_path / "ran").exists()


def test_a_repository_that_is_broken_is_an_error(project: Path) -> None:
    write(project, {"a": "", ".git": "gitdir: ../missing"})

    with pytest.raises(ConfigError, match="git cannot list the project's files in") as caught:
        scan(project)

    assert "git status" in (caught.value.hint or "")


def test_a_repository_of_another_user_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    messages = f"fatal: detected dubious ownership in repository at '{tmp_path}'\nTo add …\n"

    with pytest.raises(ConfigError, match="detected dubious ownership in repository") as caught:
        parse_answer(tmp_path, 128, b"", messages)

    assert caught.value.hint is not None
    assert f"git config --global --add safe.directory '{tmp_path}'" in caught.value.hint


def test_a_directory_that_git_cannot_read_is_an_error(tmp_path: Path) -> None:
    messages = "warning: could not open directory 'd/': Permission denied\n"

    with pytest.raises(ConfigError, match="could not open directory 'd/': Permission denied"):
        parse_answer(tmp_path, 0, b"a\0", messages)


def test_git_failing_without_a_word_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exit code 3"):
        parse_answer(tmp_path, 3, b"", "")


def test_other_warnings_of_git_are_not_ours(tmp_path: Path) -> None:
    assert parse_answer(tmp_path, 0, b"a\0b/\0", "warning: something\n") == ("a", "b")


def test_a_directory_that_is_gone_when_git_is_asked_has_changed(tmp_path: Path) -> None:
    with pytest.raises(TreeChanged, match="gone changed while it was read"):
        list_ignored(tmp_path / "gone", ["x"], lambda: None)
