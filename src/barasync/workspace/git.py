"""Which files of a directory git counts as the project's: the question, and git's answer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from barasync.errors import ConfigError

# What a git hook passes on would point every question at the hook's repository.
_FORGET = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
_COMMAND = (
    "env",
    *(f"--unset={name}" for name in _FORGET),
    "LC_ALL=C",  # the answer is matched below
    "git",
    "--no-optional-locks",
    "-c",
    "core.fsmonitor=false",  # it names a program to run, and the project may be anybody's
    "ls-files",
    "-z",
    "--cached",
    "--others",
    "--exclude-standard",
)
_NO_REPOSITORY = "fatal: not a git repository (or any"
_OWNER = ("dubious ownership", "unsafe repository")
_UNREADABLE = "warning: could not open directory"
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
    # The Ctrl-C of a terminal is for us: git, interrupted, would be taken for one that failed.
    with subprocess.Popen(
        _COMMAND,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as git:
        try:
            output, messages = _communicate(git, checkpoint)
        except BaseException:
            os.killpg(git.pid, signal.SIGKILL)
            raise
    return parse_answer(directory, git.returncode, output, os.fsdecode(messages))


def _communicate(
    process: subprocess.Popen[bytes], checkpoint: Callable[[], None]
) -> tuple[bytes, bytes]:
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=_LOOK_SECONDS)
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
    reason = messages.partition("\n")[0].removeprefix("fatal: ").strip() or f"exit code {code}"
    raise ConfigError(
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
