"""A script in a container of an image, until its end: what fails is said with its last lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import anyio

from barasync.aiopodman import (
    Container,
    ContainerInspect,
    ContainerSpec,
    OCIRuntimeError,
    Podman,
    Rlimit,
)
from barasync.config.schema import ImageNetwork
from barasync.engine.drain import Drain
from barasync.engine.ending import NoVerdict
from barasync.engine.gate import Gate
from barasync.engine.place import SERVER_GRACE_SECONDS, server_timeout
from barasync.engine.step_container import SHELL, Draft
from barasync.engine.step_log import StepLog
from barasync.engine.step_words import explained, hint_of
from barasync.errors import ImageError
from barasync.images.containerfile import Env, Workdir
from barasync.images.proxies import with_proxies
from barasync.images.steps import PackagesStep, RunStep

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ROOT = "root"
KILLED = "was killed"
_HOME = ': "${HOME:=/}"; export HOME; '
"""For a number that is not in `/etc/passwd`, as in `podman build` 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepExecution:
    """How steps are executed: `gate` bounds how many are started at once.

    `hurry` is set when nobody wants to wait any more.
    """

    podman: Podman
    gate: Gate
    hurry: anyio.Event


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """How long a step of the declared image `name` may be executed; `None` for no limit."""

    name: str
    seconds: float | None

    def exceeded(self, where: str, log: StepLog, *, end: str = KILLED) -> ImageError:
        """Return what to raise for a step that took longer; `where` names it, `end` is its end."""
        return failed(
            where,
            f"took longer than {self.seconds:g} s and {end}",
            log,
            hint=f"`timeout` of [images.{self.name}] says how many seconds a step may take",
        )


def spec_of(
    step: RunStep | PackagesStep,
    draft: Draft,
    *,
    limit: TimeLimit,
    rlimits: tuple[Rlimit, ...],
    proxies: Mapping[str, str],
) -> ContainerSpec:
    """Return the container that a step is executed in.

    It has the settings of the step, which its image gets from it. Its environment is otherwise that
    of the image below, with a `PATH` if nobody sets one. Where it has a network, its script sees
    `proxies` besides, less those that the image sets itself. Podman itself ends it some time after
    the step's own timeout, for a builder that was killed.
    """
    env = dict(setting.partition("=")[::2] for setting in draft.parent.config.env)
    env |= {setting.name: setting.value for setting in step.settings if isinstance(setting, Env)}
    places = [setting.path for setting in step.settings if isinstance(setting, Workdir)]
    script = step.script
    if draft.parent.config.user.partition(":")[0].isdecimal():
        script = _HOME + script
    has_network = step.network is not ImageNetwork.NONE
    passed = {name: proxies[name] for name in proxies.keys() - env.keys() if has_network}
    spec = replace(
        draft.bare(),
        entrypoint=(SHELL,),
        command=with_proxies(script, passed),
        env={"PATH": _PATH, **env},
        work_dir=places[-1] if places else None,
        make_work_dir=bool(places),
        network=step.network.value,
        timeout=server_timeout(limit.seconds, SERVER_GRACE_SECONDS),
        rlimits=rlimits,
    )
    if isinstance(step, PackagesStep) and step.user == _ROOT:
        return draft.as_root(spec)
    return spec


async def execute(
    container: Container,
    log: StepLog,
    execution: StepExecution,
    *,
    limit: TimeLimit,
    where: str,
    notice: Callable[[str], None],
    on_start: Callable[[], None],
) -> None:
    """Run a created container of a step to its end, its output into the log.

    `where` begins messages, `notice` hears of what is no failure, `on_start` is called when the
    script runs. When cancelled, the container is killed.

    Raises:
        ImageError: the script fails, takes too long, or cannot be executed.
        EngineUnavailable: podman cannot be reached any more.
    """
    drain = Drain(
        execution.podman,
        container,
        log,
        timeout=limit.seconds,
        grace=0.0,
        gate=execution.gate,
        hurry=execution.hurry,
    )
    with explained(where, "executing it"):
        state = await _ended(drain, where, on_start)
    log.end()
    if drain.problem is not None:
        notice(drain.problem)
    code = state.state.exit_code
    if code == 0:
        return
    if limit.seconds is not None and (drain.deadline_hit or code < 0):
        raise limit.exceeded(where, log)
    memory = ", out of memory" if state.state.oom_killed else ""
    raise failed(where, f"failed with exit code {code}{memory}", log)


async def _ended(drain: Drain, where: str, on_start: Callable[[], None]) -> ContainerInspect:
    try:
        async with AsyncExitStack() as stack:
            await drain.start(stack)
            on_start()
            return await drain.run()
    except OCIRuntimeError as error:
        raise _not_started(where, f"{error.message} {error.cause}") from error
    except NoVerdict as error:
        raise ImageError(f"{where}: {error}") from error


def _not_started(where: str, reason: str) -> ImageError:
    words = reason.lower()
    if "exec format error" in words:
        return ImageError(
            f"{where}: {SHELL} is built for an architecture that this host cannot execute",
            hint="see `barasync arch check`",
        )
    if "not found" in words or "no such file" in words:
        return ImageError(
            f"{where}: the image has no {SHELL} to execute it with",
            hint="only `copy` and settings can be laid on an image without a shell",
        )
    return ImageError(f"{where}: {reason}")


def failed(where: str, reason: str, log: StepLog, *, hint: str | None = None) -> ImageError:
    """Return what to raise for a step that did not succeed, with its last lines and its log.

    Without `hint` the lines tell what to do, if that is known.
    """
    if log.problem is None:
        kept = f"log: {log.path}"
    else:
        kept = f"the log could not be written: {log.path}: {log.problem.strerror}"
    lines = [f"{where} {reason}", *log.last_lines, kept]
    return ImageError("\n  ".join(lines), hint=hint or hint_of("\n".join(log.last_lines)))
