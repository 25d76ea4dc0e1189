"""A snapshot: an image of a container as it is, to be looked at later.

It has the files of the container, its command, environment and user, and the architecture and
variant of its image; nothing that is mounted, and none of podman's secrets (measured on 4.3.1 and
5.4.2). The labels by which barasync knows its own things are emptied, and so are the variables that
name the proxies of who ran it, maybe with a password: podman cannot take them off. What podman
locks meanwhile, and why nothing is paused: `docs/podman.md`, "Commits".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from barasync.aiopodman import (
    Conflict,
    Container,
    ContainerInspect,
    ImageInspect,
    ImageSummary,
    NotFound,
    Podman,
    PodmanError,
    Reference,
    TransportError,
    answered,
)
from barasync.errors import ConfigError, EngineUnavailable, ImageError
from barasync.images.fit import platform_of
from barasync.images.ours import BASE_LABEL, KIND_LABEL, kind_of
from barasync.images.proxies import foreign_proxies
from barasync.images.tags import parse_tag
from barasync.matrix.platforms import Platform, canonical

SNAPSHOT = "snapshot"
NAME_LABEL = "barasync.name"
"""The name that it was made under: what somebody makes of it has the label, and another name."""
RUN_LABEL = "barasync.snapshot.run"
CELL_LABEL = "barasync.snapshot.cell"
"""The run and the cell that a snapshot is of; those of a container itself say whose it is."""

LARGE_BYTES = 256 * 1024 * 1024
"""What takes podman seconds: it stores 45 to 300 MB/s, and locks its storage meanwhile."""

_OPTION = "--snapshot"
_PLACEHOLDER = "{cell}"
_SECONDS = 600.0
_SECONDS_WHEN_CANCELLED = 10.0
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
_OWN = "barasync."
_RUN_OF_CONTAINER = f"{_OWN}run"
_CELL_OF_CONTAINER = f"{_OWN}cell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A snapshot that was made; `size` in bytes, with all that it shares with its image.

    `mounted` are the places in the container at which something was mounted, which is not in it.
    """

    id: str
    platform: Platform
    size: int
    mounted: tuple[str, ...]


def snapshots_of(text: str, cells: Sequence[str]) -> dict[str, Reference]:
    """Read `--snapshot NAME:TAG` for the cells of these IDs; no two get the same name.

    `{cell}` stands for the ID of the cell; where it is missing and there are several cells the ID
    is appended.

    Raises:
        ConfigError: it is no name for an image that is to be made, for any of the cells.
    """
    template = text
    if _PLACEHOLDER not in text and len(cells) > 1:
        template = f"{parse_tag(text, _OPTION)}-{_PLACEHOLDER}"
    return {cell: parse_tag(template.replace(_PLACEHOLDER, cell), _OPTION) for cell in cells}


async def take_snapshot(
    podman: Podman,
    container: Container,
    name: Reference,
    *,
    kind: str = SNAPSHOT,
    pause: bool = False,
) -> Made:
    """Make an image of a container, which may run, and give it a name with a tag.

    A snapshot that had the name before loses it, and is removed if that was its only name and
    nothing uses it. Its label says which `kind` of an image it is. With `pause` the container
    stands still until it is made; without it, a file that is written meanwhile may come half.
    Cancelled in flight, it is waited for 10 s.

    Raises:
        ConfigError: the name belongs to an image that is no snapshot.
        ImageError: podman refuses, does not answer in 600 s, or made an image for another
            architecture.
        EngineUnavailable: podman is away.
    """
    where = f"no snapshot {name} of container {container.id[:12]}"
    try:
        return await answered(
            lambda: _take(podman, container, name, kind=kind, pause=pause),
            within=_SECONDS,
            cancelled=_SECONDS_WHEN_CANCELLED,
        )
    except TimeoutError:
        raise ImageError(
            f"{where}: podman did not make it in time; it may still come", hint="is it very large?"
        ) from None
    except TransportError as error:
        raise EngineUnavailable(f"{where}: {error}") from error
    except PodmanError as error:
        raise ImageError(f"{where}: {error}") from error


def is_snapshot(image: ImageSummary) -> bool:
    """Tell a snapshot, whatever names it has by now, from what somebody made of one."""
    name = image.labels.get(NAME_LABEL)
    if image.repo_tags:
        return image.labels.get(KIND_LABEL) == SNAPSHOT and name in image.repo_tags
    return kind_of(image) == SNAPSHOT


async def is_large(container: Container) -> bool:
    """Tell whether an image of a container takes podman so long that others had better wait.

    One that podman tells nothing of is taken for large.
    """
    try:
        written = (await container.inspect(size=True)).size_rw
    except PodmanError:
        return True
    return written is None or written > LARGE_BYTES


async def require_free(podman: Podman, name: Reference) -> ImageInspect | None:
    """Return the snapshot that has a name by now, `None` if no image has.

    Raises:
        ConfigError: the name belongs to an image, or a manifest list, that is no snapshot.
        PodmanError: podman does not tell.
    """
    full = str(name)
    is_list = await podman.manifests.exists(full)
    try:
        found = None if is_list else await podman.images.inspect(full)
    except NotFound:
        return None
    if found is None or full not in found.repo_tags or found.labels.get(NAME_LABEL) != full:
        raise ConfigError(
            f"{full} is an image that is no snapshot, and would lose its name",
            hint=f"choose another name; `podman rmi {full}` takes it from that image",
        )
    return found


async def drop_snapshot(podman: Podman, image: str) -> None:
    """Remove a snapshot that is not wanted after all, if nothing uses it.

    Raises:
        PodmanError: podman does not answer, or refuses.
    """
    await podman.images.remove(image, missing_ok=True)


def changes_for(
    container: ContainerInspect, base: ImageInspect, name: Reference, *, kind: str = SNAPSHOT
) -> tuple[str, ...]:
    """Return the Containerfile instructions that make a snapshot of a commit.

    They are about its labels, and about proxies that are not of `base`, the container's image.
    """
    own: Mapping[str, str] = container.config.labels
    kept = {
        KIND_LABEL: kind,
        BASE_LABEL: container.image,
        NAME_LABEL: str(name),
        RUN_LABEL: own.get(_RUN_OF_CONTAINER, ""),
        CELL_LABEL: own.get(_CELL_OF_CONTAINER, ""),
    }
    cleared = (
        label
        for label in sorted(own)
        if label.startswith(_OWN) and label not in kept and _PLAIN.fullmatch(label)
    )
    return (
        *(f"ENV {each}=" for each in foreign_proxies(container.config.env, base.config.env)),
        *(f"LABEL {label}=" for label in cleared),
        *(f"LABEL {label}={value}" for label, value in kept.items() if value or label in own),
    )


async def _take(
    podman: Podman, container: Container, name: Reference, *, kind: str, pause: bool
) -> Made:
    before = await require_free(podman, name)
    state = await container.inspect()
    base = await podman.images.inspect(state.image)
    changes = changes_for(state, base, name, kind=kind)
    image_id = await container.commit(
        repository=name.name, tag=name.tag, changes=changes, pause=pause
    )
    made = await podman.images.inspect(image_id)
    if before is not None and before.id != made.id:
        await _remove_nameless(podman, before)
    wanted, got = platform_of(base), platform_of(made)
    if canonical(wanted) != canonical(got):
        raise ImageError(f"podman made {name} for {got}, its image is for {wanted}")
    return Made(id=made.id, platform=got, size=made.size, mounted=_mounted(state))


async def _remove_nameless(podman: Podman, snapshot: ImageInspect) -> None:
    """Remove a snapshot whose only name went to another one, unless something uses it."""
    if len(snapshot.repo_tags) > 1:
        return
    try:
        await drop_snapshot(podman, snapshot.id)
    except Conflict:
        return


def _mounted(container: ContainerInspect) -> tuple[str, ...]:
    places = {mount.destination for mount in container.mounts} | set(container.host_config.tmpfs)
    return tuple(sorted(places))
