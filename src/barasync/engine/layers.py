"""The making of layers and steps, kept apart between the runs and builds of a user.

Two runs of one state of a project want the same layer: who comes second waits, and finds it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from barasync.engine.filelock import locked

_FILE = "layers.lock"


@asynccontextmanager
async def making_layer(
    locks: Path, key: str, *, on_wait: Callable[[], None]
) -> AsyncIterator[None]:
    """Keep others from making the layer of `key` for the block; `locks` is where the file is.

    Waits for who makes it now, for as long as that takes, and `on_wait` is called once if it has
    to; when cancelled nothing is held. Where no lock can be had the block runs without one: then a
    layer may be made twice, which costs time and is right all the same.
    """
    async with AsyncExitStack() as stack:
        lock = locked(locks / _FILE, key=key, shared=False, on_wait=on_wait)
        with suppress(OSError):
            await stack.enter_async_context(lock)
        yield
