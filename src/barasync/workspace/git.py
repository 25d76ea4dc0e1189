"""Which files of a directory git counts as the project's: the questions, and git's answers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from barasync.errors import ConfigError
from barasync.workspace.tree import changed

# What a git hook passes on would point every question at the hook's repository.
_FORGET = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
_GIT = (
    "env",
    *(f"--unset={name}" for name in _FORGET),
    "LC_ALL=C",  # the answer is matched below
    "git",
    "--no-optional-locks",
    "-c",
    "core.fsmonitor=false",  # it names a program to run, and the project may be anybody's
)
_FILES = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
_IGNORED = ("check-ignore", "-z", "--stdin")
_NONE_IGNORED = 1
_NO_REPOSITORY = "fatal: not a git repository (or any"
_OWNER = ("dubious ownership", "unsafe repository")
_UNREADABLE = "warning: could not open directory"
_LINK = "is beyond a symbolic link"
_LOOK_SECONDS = 0.1


def list_files(directory: Path, checkpoint: Callable[[], None]) -> tuple[str, ...] | None:
    """Return the tracked and the untracked but not ignored files below a directory.

    Paths are relative to `directory`, undecodable bytes as surrogate escapes, in no order and maybe
    more than once. A tracked file may be gone from the disk. A submodule, or another repository in
    this one, is one path, that of its directory. `None` when git is not installed or the directory
    is in no repository. `checkpoint` is called again and again meanwhile; what it raises ends git.

    Raises:
        ConfigError: git refuses to answer, or cannot read a directory.

    Source: git-ls-files(1).
    """
    if shutil.which("git") is None:
        return None
    code, output, messages = _ask(directory, _FILES, checkpoint)
    return parse_answer(directory, code, output, messages)


def list_ignored(
    directory: Path, names: Iterable[str], checkpoint: Callable[[], None]
) -> frozenset[str] | None:
    """Return those of the names of files or directories below a directory that git ignores.

    All that is below an ignored directory is ignored. None may be in another repository. `None`
    when one lies below what has become a link. `checkpoint` is called again and again meanwhile;
    what it raises ends git.

    Raises:
        ConfigError: git refuses to answer.

    Source: git-check-ignore(1).
    """
    # A colon at the beginning would be magic.
    question = b"".join(b"./" + os.fsencode(name) + b"\0" for name in names)
    code, output, messages = _ask(directory, _IGNORED, checkpoint, question)
    if code not in {0, _NONE_IGNORED}:
        if _LINK in messages:
            return None
        raise _refused(directory, code, messages)
    return frozenset(os.fsdecode(name).removeprefix("./") for name in output.split(b"\0") if name)


def _ask(
    directory: Path,
    words: tuple[str, ...],
    checkpoint: Callable[[], None],
    question: bytes = b"",
) -> tuple[int, bytes, str]:
    """Run git and return its exit code, its answer and what it says.

    Raises:
        TreeChanged: the directory is gone, or is none any more.
    """
    try:
        # The Ctrl-C of a terminal is for us: git, interrupted, would be taken for one that failed.
        started = subprocess.Popen(
            (*_GIT, *words),
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise changed(directory, "") from error
    with started as git:
        try:
            output, messages = _communicate(git, question, checkpoint)
        except BaseException:
            os.killpg(git.pid, signal.SIGKILL)
            raise
    return git.returncode, output, os.fsdecode(messages)


def _communicate(
    process: subprocess.Popen[bytes], question: bytes, checkpoint: Callable[[], None]
) -> tuple[bytes, bytes]:
    rest: bytes | None = question
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(rest, timeout=_LOOK_SECONDS)
        rest = None  # what is left of it is known there
        checkpoint()


def parse_answer(
    directory: Path, code: int, output: bytes, messages: str
) -> tuple[str, ...] | None:
    """Read what git wrote and the code it ended with."""
    if code == 0:
        unreadable = [line for line in messages.splitlines() if line.startswith(_UNREADABLE)]
        if unreadable:
            raise ConfigError(
                f"git cannot read all of {directory}: {unreadable[0].removeprefix('warning: ')}",
                hint="Make it readable, or name it in .gitignore.",
            )
        return tuple(os.fsdecode(name).rstrip("/") for name in output.split(b"\0") if name)
    if messages.startswith(_NO_REPOSITORY):
        return None
    raise _refused(directory, code, messages)


def _refused(directory: Path, code: int, messages: str) -> ConfigError:
    reason = messages.partition("\n")[0].removeprefix("fatal: ").strip() or f"exit code {code}"
    return ConfigError(
        f"git cannot list the project's files in {directory}: {reason}",
        hint=_hint(directory, messages),
    )


def _hint(directory: Path, messages: str) -> str:
    if any(phrase in messages for phrase in _OWNER):
        return (
            "The repository belongs to another user. If you trust it: "
            f"git config --global --add safe.directory '{directory}'"
        )
    return f"See what `git status` says in {directory}."
