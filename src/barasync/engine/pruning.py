"""Old workspace layers: which of a service's go at the end of a run, and their removal.

They belong to the service, whatever project they are of: what is kept of one takes the room of the
others. Removing one costs its project the making of a new one, nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread

from barasync.aiopodman import Conflict, ContainerSummary, ImageSummary, Podman
from barasync.engine.identity import RUN, Identity, Liveness, StartOf, of_maker, start_time
from barasync.engine.layer_uses import last_uses
from barasync.workspace.layer import BASE_LABEL, layers

KEPT_LAYERS = 20
KEPT_SECONDS = 14 * 24 * 3600.0
# A run that cannot be judged from here may be about to use what it made.
_LONGEST_RUN_SECONDS = 24 * 3600.0
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A layer, when it was last used or made, and whether its maker still lives.

    `used` is the later of both as far as it is known, in seconds since the epoch.
    """

    id: str
    used: float
    maker: Liveness


def outdated(found: Iterable[Judged], *, used: Collection[str], now: float) -> tuple[str, ...]:
    """Return the layers to remove, the least recently used first.

    Those that were not used for `KEPT_SECONDS`, and those beyond the `KEPT_LAYERS` that were used
    most recently. None of `used`, which are in use now, and none whose maker lives or may live.
    """
    latest_first = sorted(
        found, key=lambda layer: (layer.id in used, layer.used, layer.id), reverse=True
    )
    doomed = []
    for rank, layer in enumerate(latest_first):
        age = now - layer.used
        is_recent = layer.maker is Liveness.UNKNOWN and age < _LONGEST_RUN_SECONDS
        if layer.id in used or layer.maker is Liveness.ALIVE or is_recent:
            continue
        if rank >= KEPT_LAYERS or age > KEPT_SECONDS:
            doomed.append(layer.id)
    return tuple(reversed(doomed))


async def prune_layers(
    podman: Podman,
    identity: Identity,
    *,
    run: str,
    used: Collection[str],
    now: float,
    uses: Path,
    start_of: StartOf = start_time,
) -> tuple[str, ...]:
    """Remove outdated layers of a service at the end of `run`, which has used some; return them.

    `uses` is the directory where uses are noted (`layer_uses`).
    What a container or an image is made of stays. While another run is at work there nothing is
    removed: it may be about to use a layer that it found. One request where nothing is outdated;
    what is not removed within `_PATIENCE_SECONDS` is left to the next run.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    removed: list[str] = []
    with anyio.move_on_after(_PATIENCE_SECONDS):
        found = await layers(podman)

        def judged() -> tuple[str, ...]:
            last = last_uses(uses, (layer.id for layer in found))
            return outdated(
                [
                    Judged(
                        id=layer.id,
                        used=max(layer.created, last.get(layer.id, 0)),
                        maker=identity.judge(of_maker(layer.labels), start_of),
                    )
                    for layer in found
                ],
                used=used,
                now=now,
            )

        doomed = await to_thread.run_sync(judged)
        if not doomed or await _is_busy(podman, identity, run, start_of):
            return ()
        removable = _removable(found, await podman.images.list(all=True))
        for layer in filter(removable.__contains__, doomed):
            try:
                await podman.images.remove(layer, missing_ok=True)
            except Conflict:  # a container is made of it
                continue
            removed.append(layer)
    return tuple(removed)


async def _is_busy(podman: Podman, identity: Identity, run: str, start_of: StartOf) -> bool:
    """Tell whether another run may be at work on the service, by its containers."""
    containers = await podman.containers.list(labels={RUN: None}, all=True)

    def judged() -> bool:
        return any(
            _at_work(container, identity.judge(container.labels, start_of))
            for container in containers
            if container.labels[RUN] not in {"", run}
        )

    return await to_thread.run_sync(judged)


def _at_work(container: ContainerSummary, liveness: Liveness) -> bool:
    """Judge a run by one of its containers; podman ends those that a dead run left behind."""
    if liveness is Liveness.UNKNOWN:
        return container.state == "running"
    return liveness is Liveness.ALIVE


def _removable(found: Iterable[ImageSummary], images: Iterable[ImageSummary]) -> frozenset[str]:
    """Return the layers that nothing else depends on.

    With the last image made of it podman removes an image that has no name as well: that of a
    cell, where it is known by its ID only.
    """
    named = {image.id: bool(image.repo_tags) for image in images}
    parents = {image.parent_id for image in images}
    return frozenset(
        layer.id
        for layer in found
        if layer.id not in parents and named.get(layer.labels.get(BASE_LABEL, ""), True)
    )
