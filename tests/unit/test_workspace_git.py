"""What of a git repository belongs to the project."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync.errors import ConfigError
from barasync.workspace.git import parse_answer
from barasync.workspace.tree import Kind, Tree, scan
from tests.unit.projects import git, plain_git, repository, write


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
