"""The directory that the artifacts of a run go below, made ready before the first cell starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from anyio import from_thread, to_thread

from barasync.artifacts.place import Place, below
from barasync.artifacts.sources import Source, plan
from barasync.config.schema import WORKSPACE
from barasync.errors import ConfigError
from barasync.matrix.cells import Cell


@asynccontextmanager
async def artifacts_root(directory: Path, cells: Iterable[Cell]) -> AsyncIterator[Place]:
    """Open the directory, or the nearest one above it, and clear the places of the cells in it.

    A cell that passes without an artifact must not seem to have that of an earlier run. When this
    is cancelled, no place is begun any more.

    Raises:
        ConfigError: it cannot be opened, or what an earlier run left cannot be removed.
    """
    with ExitStack() as stack:
        try:
            root = stack.enter_context(below(directory))
            await to_thread.run_sync(_clear, root, cells)
        except OSError as error:
            raise ConfigError(
                f"no place for artifacts below {directory}: {error.strerror}: {error.filename}",
                hint="`--artifacts-dir` names another place",
            ) from error
        yield root


def _clear(root: Place, cells: Iterable[Cell]) -> None:
    for cell in cells:
        sources = [Source.parse(text, WORKSPACE) for text in cell.settings.artifacts]
        for fetch in plan(sources):
            from_thread.check_cancelled()
            (root / cell.id / fetch.place).remove()
