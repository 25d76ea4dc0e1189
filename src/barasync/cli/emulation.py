"""Whether the machine of a podman service can run the programs of some architectures."""

from __future__ import annotations

from collections.abc import Iterable

from anyio import to_thread

from barasync.cli.connect import Connection
from barasync.engine.identity import Identity
from barasync.images.emulation import Host, require, require_there
from barasync.matrix.platforms import Platform


async def require_emulators(
    platforms: Iterable[Platform], connection: Connection, identity: Identity
) -> None:
    """Make sure of it before anything is made for them.

    Raises:
        EngineUnavailable: it cannot; the message names the platforms, the hint what to do.
    """
    wanted = tuple(dict.fromkeys(platforms))
    if connection.local:
        await to_thread.run_sync(require, wanted, Host.current())
    else:
        labels = identity.labels("arch-check")
        await require_there(connection.podman, wanted, labels=labels, rlimits=connection.rlimits)
