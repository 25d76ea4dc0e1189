"""How the container of an attempt ended, and the outcome that this makes."""

from __future__ import annotations

from dataclasses import dataclass

from barasync.aiopodman import ContainerInspect, PodmanVersion, quirks
from barasync.engine.job import Job, timeout_of_service
from barasync.engine.retry import is_retried
from barasync.engine.verdict import Observation, Verdict, judge, remark
from barasync.matrix.outcome import Collected, Outcome, OutputCounts, Snapshot, Status
from barasync.networks.asked import RefusedName
from barasync.networks.refused import Refusal

_KILLED = 137


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the container's part of an attempt ended; `verdict` where that is already decided.

    `state` is `None` for a container that never ran, or of which nobody knows whether it ended.
    `output_problem` says why the output is incomplete, `None` when it is whole, and `output_doubt`
    why that cannot be told. `refused_note` says what its network refused, and how that would pass.
    With `detached` it has not ended, and is to go on.
    """

    state: ContainerInspect | None = None
    deadline_hit: bool = False
    terminated: bool = False
    seconds: float = 0.0
    verdict: Verdict | None = None
    output_problem: str | None = None
    output_doubt: str | None = None
    output_recovered: bool = False
    collected: tuple[Collected, ...] = ()
    manifest: str | None = None
    snapshot: Snapshot | None = None
    refused: tuple[Refusal, ...] = ()
    refused_names: tuple[RefusedName, ...] = ()
    refused_packets: int = 0
    refused_note: str = ""
    notes: tuple[str, ...] = ()
    detached: bool = False

    @property
    def passed(self) -> bool:
        """Whether the command passed and all of its output is here."""
        if self.state is None or self.terminated:
            return False
        return self.state.state.exit_code == 0 and self.output_problem is None

    @property
    def is_over(self) -> bool:
        """Whether nothing runs in the container any more, for all that is known."""
        refused = self.verdict is not None and self.verdict.status is Status.FAILED
        return self.state is not None or refused


def outcome_of(ended: Ended, job: Job, version: PodmanVersion, oom_kills: int | None) -> Outcome:
    """Fold what was observed into an outcome; usage and counts are filled in by the caller.

    `oom_kills` is how often the kernel killed for lack of memory, `None` where that is not known,
    or not yet.
    """
    if ended.detached:
        return Outcome(status=Status.PASSED, warnings=ended.notes)
    noticed: list[str] = []
    if ended.output_recovered:
        noticed.append("podman broke off the output, which was completed from its log")
    if ended.output_doubt is not None:
        noticed.append(ended.output_doubt)
    if ended.verdict is not None:
        verdict = ended.verdict
    else:
        seen = _observation(ended, job, version, oom_kills)
        verdict = judge(seen)
        noticed += filter(None, (remark(seen),))
    if verdict.status is Status.PASSED:
        verdict = _doubted(verdict, ended)
    policy = job.cell.policy
    told = verdict.status is not Status.PASSED or (policy is not None and policy.log)
    return Outcome(
        status=verdict.status,
        exit_code=verdict.exit_code,
        reason=verdict.reason,
        hint=verdict.hint,
        warnings=(*noticed, *ended.notes),
        output=OutputCounts(complete=ended.output_problem is None),
        artifacts=ended.collected,
        manifest=ended.manifest,
        snapshot=ended.snapshot,
        refused=ended.refused,
        refused_names=ended.refused_names,
        refused_packets=ended.refused_packets,
        refused_note=ended.refused_note if told else "",
    )


def is_surely_retried(ended: Ended, job: Job, version: PodmanVersion) -> bool:
    """Tell whether another attempt follows, unless the run is stopped before.

    While the container is there it is not always known whether it ran out of memory.
    """
    first = outcome_of(ended, job, version, None)
    possible = [first]
    if first.status is Status.FAILED and first.exit_code == _KILLED:
        possible.append(Outcome(status=Status.OUT_OF_MEMORY))
    return all(is_retried(outcome, job.cell.settings, job.number) for outcome in possible)


def _doubted(verdict: Verdict, ended: Ended) -> Verdict:
    """Say what is missing of a cell whose command passed."""
    status, reason = verdict.status, verdict.reason
    missing = [item for item in ended.collected if item.problem is not None]
    if ended.output_problem is not None:
        status, reason = Status.INFRASTRUCTURE_ERROR, ended.output_problem
    elif missing:
        status = Status.ARTIFACTS_INCOMPLETE
        reason = f"artifact {missing[0].source}: {missing[0].problem}"
    elif ended.snapshot is not None and ended.snapshot.problem and not ended.snapshot.kept:
        status, reason = Status.SNAPSHOT_FAILED, ended.snapshot.problem
    return Verdict(status=status, exit_code=verdict.exit_code, reason=reason, hint=verdict.hint)


def _observation(
    ended: Ended, job: Job, version: PodmanVersion, oom_kills: int | None
) -> Observation:
    assert ended.state is not None, "an attempt ends with a state or a verdict"
    told = not quirks.OOM_KILLED_UNSET.is_active(version.release)
    return Observation(
        exit_code=ended.state.state.exit_code,
        command=job.command,
        oom_killed=ended.state.state.oom_killed if told else None,
        deadline_hit=ended.deadline_hit,
        terminated=ended.terminated,
        timeout=job.cell.settings.timeout,
        server_timeout=timeout_of_service(job),
        seconds=ended.seconds,
        memory_limit_bytes=job.cell.settings.memory,
        oom_kills=oom_kills,
    )
