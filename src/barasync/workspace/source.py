"""The project's files as one run makes layers of them: all of one state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import Lock

from barasync.workspace.tree import SCANS, Tree, TreeChanged


class Source:
    """A tree, read again while it changes, until the first layer is made of it.

    From then on it stays: the cells of a run are not to test two states of a project.
    """

    def __init__(self, tree: Tree, read_again: Callable[[], Awaitable[Tree]]) -> None:
        self._tree = tree
        self._read_again = read_again
        self._left = SCANS - 1
        self._is_settled = False
        self._lock = Lock()

    @property
    def tree(self) -> Tree:
        """The tree that layers are made of."""
        return self._tree

    async def layer(self, make: Callable[[Tree], Awaitable[str]]) -> str:
        """Return what `make` makes of the tree, called once more where the tree was read again.

        Raises:
            TreeChanged: a file changed every time, or after another layer had been made.
        """
        while True:
            tree = self._tree
            try:
                layer = await make(tree)
            except TreeChanged as error:
                await self._renew(tree, error)
                continue
            if tree is self._tree:
                self._is_settled = True
                return layer

    async def _renew(self, tree: Tree, error: TreeChanged) -> None:
        async with self._lock:
            if self._tree is not tree:
                return
            if self._is_settled:
                raise TreeChanged(
                    f"{error}, and other cells of this run have what it was before",
                    hint=error.hint,
                ) from error
            if self._left == 0:
                raise error
            self._left -= 1
            self._tree = await self._read_again()
