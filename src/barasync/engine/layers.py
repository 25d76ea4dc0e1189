"""The making of workspace layers, kept apart between the runs of a user.

Two runs of one state of a project want the same layer: who comes second waits, and finds it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from barasync.engine.filelock import locked

# Lock files stay, and each state of a project has a key of its own: this bounds them to 4096.
# Layers whose keys begin alike are made one after the other.
_KEY_DIGITS = 3


@asynccontextmanager
async def making_layer(
    locks: Path, key: str, *, on_wait: Callable[[], None]
) -> AsyncIterator[None]:
    """Keep others from making the layer of `key` for the block; `locks` is where the files are.

    Waits for who makes it now, for as long as that takes, and `on_wait` is called once if it has
    to; when cancelled nothing is held. Where no lock can be had the block runs without one: then a
    layer may be made twice, which costs time and is right all the same.
    """
    async with AsyncExitStack() as stack:
        lock = locked(locks / f"layer-{key[:_KEY_DIGITS]}.lock", shared=False, on_wait=on_wait)
        with suppress(OSError):
            await stack.enter_async_context(lock)
        yield
