"""A request whose answer nobody may miss, also when whoever made it is cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def answered(
    request: Callable[[], Awaitable[T]],
    *,
    within: float,
    cancelled: float,
    on_cancel: Callable[[], None] | None = None,
) -> T:
    """Make a request and wait for its answer, which nobody may miss, for `within` seconds.

    Cancellation does not end the wait, it leaves `cancelled` seconds of it, and calls `on_cancel`,
    which is called after the end as well. An answer that comes is returned all the same; whoever
    was cancelled before makes no request.

    Raises:
        TimeoutError: there was no answer; what was asked for may be done or not.
        Exception: as `request`.
    """
    await anyio.lowlevel.checkpoint()
    answers: list[T] = []
    failure: Exception = TimeoutError()
    async with anyio.create_task_group() as group:

        async def hurry() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                if on_cancel is not None:
                    on_cancel()
                scope.deadline = min(scope.deadline, anyio.current_time() + cancelled)

        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + within) as scope:
            group.start_soon(hurry)
            try:
                answers.append(await request())
            except Exception as error:  # noqa: BLE001 - raised below, outside of the group
                failure = error
        # The end of `hurry` is waited for; cancelled there, nobody would hear of the answer.
        group.cancel_scope.shield = True
        group.cancel_scope.cancel()
    if answers:
        return answers[0]
    # Whoever was cancelled need not hear of a failure.
    await anyio.lowlevel.checkpoint()
    raise failure
