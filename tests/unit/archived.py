"""A container whose archives are made here, for the tests of the collection of artifacts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from barasync.aiopodman import NotFound, PathStat
from barasync.artifacts.collect import collect
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledgers
from barasync.artifacts.mounts import Mounts
from barasync.artifacts.place import below
from barasync.matrix.outcome import Collected
from tests.unit.archives import directory, member, pack

Script = Callable[[], AsyncIterator[bytes]]


class FakeContainer:
    """Gives out one archive per path: bytes, an exception, or a script that yields the pieces.

    Every path is there, as a directory, but for those of `links`, which have their target, if any.
    """

    def __init__(self, **archives: bytes | Exception | Script) -> None:
        self.archives = {f"/{name.replace('__', '/')}": what for name, what in archives.items()}
        self.links: dict[str, str | None] = {}
        self.open = 0
        self.asked: list[str] = []
        self.most_open = 0

    @asynccontextmanager
    async def archive(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append(path)
        what = self.archives.get(path, missing(path))
        await anyio.lowlevel.checkpoint()
        if isinstance(what, Exception):
            raise what
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            yield pieces(what) if isinstance(what, bytes) else what()
        finally:
            self.open -= 1

    async def stat(self, path: str) -> PathStat | None:
        await anyio.lowlevel.checkpoint()
        if path not in self.links:
            return PathStat(is_directory=True, target=None)
        target = self.links[path]
        return None if target is None else PathStat(is_directory=True, target=target)


def missing(path: str) -> NotFound:
    return NotFound(status=404, cause="no such file", message="", method="GET", path=path)


async def pieces(archive: bytes, size: int = 700) -> AsyncIterator[bytes]:
    for start in range(0, len(archive), size):
        await anyio.lowlevel.checkpoint()
        yield archive[start : start + size]


async def collected(
    container: FakeContainer,
    sources: Sequence[str],
    place: Path,
    limits: Limits,
    *,
    workspace: str = "/workspace",
    mounts: Mounts | None = None,
) -> tuple[Collected, ...]:
    with Ledgers() as ledgers, below(place) as root:
        collection = await collect(
            container,
            sources,
            root,
            limits,
            ledgers,
            workspace=workspace,
            mounts=mounts or Mounts(),
        )
        return collection.artifacts


def tree(name: str, content: bytes = b"x") -> bytes:
    return pack(directory(name), member(f"{name}/file", content))
