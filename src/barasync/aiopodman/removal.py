"""What podman reports of what it was to remove: the status of its answer does not tell."""

from __future__ import annotations

from collections.abc import Sequence

from barasync.aiopodman.errors import ServerError
from barasync.aiopodman.models import Removed
from barasync.aiopodman.transport import Answer


def require_removed(reports: Sequence[Removed], what: str, *, answer: Answer, path: str) -> None:
    """Check the reports in the answer to a request that was to remove `what`, at `path`.

    Raises:
        ServerError: some of it is still there.
    """
    for report in reports:
        if report.error is not None:
            raise ServerError(
                status=answer.status,
                cause=report.reason,
                message=f"{what} was not removed: {report.reason}",
                method="DELETE",
                path=f"/libpod/{path}",
            )
