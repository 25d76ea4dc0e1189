"""The verdict on an attempt: a function of what was observed, never of how a stream ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from barasync.config.sizes import format_size
from barasync.matrix.outcome import Status

_COMMAND_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_SIGNAL_BASE = 128
_KILLED = _SIGNAL_BASE + signal.SIGKILL
_NO_EXIT_CODE = -1
# Conmon's timer counts whole seconds.
_TIMER_SECONDS = 1.0
_MORE_MEMORY = "raise it with `memory` in the configuration or --memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is known about a container that has ended.

    `exit_code` as podman reports it: -1 when its own timeout killed the container,
    `server_timeout` seconds after its process was made, and also when podman does not know.
    `seconds` is the time from when that was asked for to the container's end. `deadline_hit` says
    that `timeout` (seconds) was over and the engine sent SIGKILL: one that ended by itself in that
    moment has another exit code. `terminated` says that it had sent SIGTERM then, and podman had
    accepted that: the exit code is whatever the command makes of it. `oom_killed` is podman's word
    that the kernel killed one of its processes for lack of memory, `None` where this podman has
    none; `oom_kills` is how often the kernel did, by the cell's own cgroup, `None` where that
    cannot be seen.
    """

    exit_code: int
    command: tuple[str, ...]
    oom_killed: bool | None = False
    deadline_hit: bool = False
    terminated: bool = False
    timeout: float | None = None
    server_timeout: int | None = None
    seconds: float = 0.0
    memory_limit_bytes: int | None = None
    oom_kills: int | None = None

    @property
    def lacked_memory(self) -> bool | None:
        """Whether the kernel killed a process for lack of memory, `None` where nobody tells."""
        if self.oom_killed is None and self.oom_kills is None:
            return None
        return bool(self.oom_killed) or bool(self.oom_kills)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A status with its sentence and the next step."""

    status: Status
    exit_code: int | None
    reason: str = ""
    hint: str | None = None


def judge(seen: Observation) -> Verdict:
    """Decide what became of a container that has ended by itself or was killed."""
    killed = _was_killed_in_time(seen)
    if killed or seen.terminated:
        end = "killed" if killed else "ended with SIGTERM"
        return Verdict(
            status=Status.TIMED_OUT,
            exit_code=None,
            reason=f"ran longer than {seen.timeout:g} s and was {end}",
            hint="raise it with `timeout` in the configuration or --timeout",
        )
    if seen.exit_code == _NO_EXIT_CODE:
        return Verdict(
            status=Status.INFRASTRUCTURE_ERROR,
            exit_code=None,
            reason="podman does not know how the command ended",
        )
    if _ran_out_of_memory(seen):
        return Verdict(
            status=Status.OUT_OF_MEMORY,
            exit_code=seen.exit_code,
            reason=f"reached {_memory_limit(seen)} and was killed",
            hint=_MORE_MEMORY,
        )
    if seen.exit_code == 0:
        return Verdict(status=Status.PASSED, exit_code=0)
    return _failed(seen.exit_code, seen.command, hint=_suspicion(seen))


def remark(seen: Observation) -> str | None:
    """Say that memory ran out where the verdict does not: the command went on without a process."""
    if seen.lacked_memory and not _ran_out_of_memory(seen):
        return f"it reached {_memory_limit(seen)}, and one of its processes was killed"
    return None


def judge_refused_start(message: str, command: tuple[str, ...]) -> Verdict | None:
    """Decide what podman's refusal to start a container means, `None` when it is podman's fault.

    The OCI runtime reports a command it cannot execute as an error of `start`, where a shell would
    have ended with 127 or 126; a person expects the same verdict from both.
    """
    words = message.lower()
    program = _program(command)
    if "exec format error" in words:
        return Verdict(
            status=Status.INFRASTRUCTURE_ERROR,
            exit_code=None,
            reason=f"`{program}` is built for an architecture this host cannot execute",
            hint="see `barasync arch check`",
        )
    # A missing mount source or working directory is "no such file" too, but names no executable.
    # A newer crun says of a directory neither, but that it is no regular file.
    if not any(sign in words for sign in ("executable", "exec ", "is not a regular file")):
        return None
    if "permission denied" in words:
        return _failed(_NOT_EXECUTABLE, command)
    if "not found" in words or "no such file" in words:
        return _failed(_COMMAND_NOT_FOUND, command)
    return None


def _was_killed_in_time(seen: Observation) -> bool:
    """Whether the engine's deadline or podman's own timeout ended the command."""
    if seen.deadline_hit:
        return seen.exit_code in {_KILLED, _NO_EXIT_CODE}
    if seen.exit_code != _NO_EXIT_CODE or seen.server_timeout is None:
        return False
    return seen.seconds >= seen.server_timeout - _TIMER_SECONDS


def _ran_out_of_memory(seen: Observation) -> bool:
    """Whether lack of memory ended the command; killing one of its children need not have."""
    return seen.exit_code == _KILLED and bool(seen.lacked_memory)


def _suspicion(seen: Observation) -> str | None:
    """Name the memory limit as a possible reason where nothing on this host tells."""
    limited = seen.memory_limit_bytes is not None
    if seen.exit_code == _KILLED and limited and seen.lacked_memory is None:
        return f"perhaps it reached {_memory_limit(seen)}: nothing on this host tells"
    return None


def _memory_limit(seen: Observation) -> str:
    if seen.memory_limit_bytes is None:
        return "the end of the host's memory"
    return f"its memory limit of {format_size(seen.memory_limit_bytes)}"


def _failed(exit_code: int, command: tuple[str, ...], *, hint: str | None = None) -> Verdict:
    program = _program(command)
    if exit_code == _COMMAND_NOT_FOUND:
        return Verdict(
            status=Status.FAILED,
            exit_code=exit_code,
            reason="a command was not found (exit code 127)",
            hint=f"is `{program}` in the image, and does it know this rule?",
        )
    if exit_code == _NOT_EXECUTABLE:
        return Verdict(
            status=Status.FAILED,
            exit_code=exit_code,
            reason="a command could not be executed (exit code 126)",
            hint=f"is `{program}` executable, and for this architecture?",
        )
    if exit_code > _SIGNAL_BASE:
        return Verdict(
            status=Status.FAILED,
            exit_code=exit_code,
            reason=f"was ended by {_signal_name(exit_code - _SIGNAL_BASE)} (exit code {exit_code})",
            hint=hint,
        )
    return Verdict(status=Status.FAILED, exit_code=exit_code, reason=f"exit code {exit_code}")


def _program(command: tuple[str, ...]) -> str:
    return command[0] if command else "the image's command"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
