"""Projects on disk, for the tests of what is taken of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

MTIME = 1_700_000_000
_NOBODY = 65534


@contextmanager
def plain_git() -> Iterator[None]:
    """Run git without the settings of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        yield


def git(directory: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    command = ["git", "-c", "protocol.file.allow=always", *identity, *arguments]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)


def write(directory: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files of one age; directories are made as needed."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (MTIME, MTIME))
    return directory


def repository(directory: Path, files: Mapping[str, str | bytes]) -> Path:
    """Make a git repository with one commit of these files."""
    directory.mkdir(parents=True, exist_ok=True)
    write(directory, files)
    git(directory, "init", "--quiet")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "first")
    return directory


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be somebody whom permissions bind; root is not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


class Swap:
    """Puts a link in a directory's place when it is called the `at`-th time, as anybody may."""

    def __init__(self, directory: Path, target: Path, *, at: int) -> None:
        self.left = at
        self._directory, self._target = directory, target

    def __call__(self) -> None:
        if self.left:
            self.left -= 1
            if not self.left:
                self._directory.rename(self._directory.with_name("old"))
                self._directory.symlink_to(self._target)
