"""Whether this machine has what the network policies of a plan take."""

from __future__ import annotations

from anyio import to_thread

from barasync.engine.network_hints import or_without
from barasync.matrix.plan import Plan
from barasync.networks.namespace import NamespaceError, programs


async def require_programs(plan: Plan) -> None:
    """Make sure of the programs that load rules before anything is made for the cells.

    Raises:
        NamespaceError: one is missing; the hint names its package.
    """
    if any(cell.policy is not None for cell in plan.cells):
        try:
            await to_thread.run_sync(programs)
        except NamespaceError as error:
            raise NamespaceError(str(error), hint=or_without(error.hint)) from None
