"""Whether an attempt is worth another one: a function of its outcome and the cell's settings."""

from __future__ import annotations

from collections.abc import Mapping

from barasync.config.schema import CellSettings, RetryOn
from barasync.matrix.outcome import Outcome, Status

_KINDS: Mapping[Status, RetryOn] = {
    Status.INFRASTRUCTURE_ERROR: RetryOn.INFRA,
    Status.TIMED_OUT: RetryOn.TIMEOUT,
    Status.OUT_OF_MEMORY: RetryOn.OOM,
    Status.FAILED: RetryOn.FAILED,
    # The command passed and did not leave what it was to leave.
    Status.ARTIFACTS_INCOMPLETE: RetryOn.FAILED,
}


def is_retried(outcome: Outcome, settings: CellSettings, attempt: int) -> bool:
    """Tell whether a cell is tried again after the outcome of its attempt number `attempt`.

    Never after a cancellation, a wrong platform or a leaked container: another attempt would end
    the same way, or add to the damage.
    """
    kind = _KINDS.get(outcome.status)
    return kind in settings.retry_on and attempt <= settings.retries
