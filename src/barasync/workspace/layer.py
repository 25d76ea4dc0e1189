"""The workspace layer: an image with the project's files on top of a cell's image.

It is made once per image and tree and found again by its label. No container is started for it, so
it needs no emulator, and podman keeps the architecture, command, environment and user of the image
below. Podman gives the files to that user, be it a number or a name in the image's `/etc/passwd`.
Where the image has a link at `/workspace`, the layer has a directory with the files; a directory
there keeps what it holds beside them. So does a volume: the layer is made without the image's
volumes, and a cell's own volume begins with what the layer has there. (Measured on podman 4.3.1 and
5.4.2.)
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from barasync.aiopodman import (
    APIError,
    Container,
    ContainerSpec,
    ImageSummary,
    NotFound,
    Podman,
    PodmanError,
    TransportError,
    create_shielded,
    remove_shielded,
)
from barasync.config.schema import WORKSPACE
from barasync.errors import EngineUnavailable, ImageError
from barasync.images.ours import (
    BASE_LABEL,
    KEY_LABEL,
    KIND_LABEL,
    PREFIX,
    kind_of,
)
from barasync.images.ours import (
    WORKSPACE as WORKSPACE_KIND,
)
from barasync.matrix.platforms import Platform
from barasync.workspace.archive import made_ahead, stream
from barasync.workspace.tree import Tree

REPOSITORY = f"{PREFIX}{WORKSPACE_KIND}"
_FORMAT = 3  # part of every key: a new way to make layers leaves the old ones alone
_TAG_DIGITS = 16
_NEVER_STARTED = "/barasync-workspace"
_NO_COMMAND = "no command or entrypoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A container to be committed, and the Containerfile instructions to commit it with."""

    container: Container
    changes: tuple[str, ...]


async def ensure_layer(
    podman: Podman,
    *,
    image_id: str,
    platform: Platform,
    tree: Tree,
    labels: Mapping[str, str],
    maker: Mapping[str, str],
) -> str:
    """Return the ID of an image with `tree` at `/workspace` on top of the image `image_id`.

    One that was made before, by whatever run, is used again. `labels` mark the container that is
    needed for a moment, `maker` the image: the containers made from it inherit those, so they must
    not be the labels of a run's containers. They are plain words: podman's versions differ in how
    they read others. `platform` is for messages.

    Processes that make the same layer at the same time do not meet: each has a container of its
    own, their images are alike, the tag goes to the last. Whoever calls it sees to it that this is
    rare (`barasync.engine.layers`).

    When cancelled, the container is removed before this returns; an image may have been made.

    Raises:
        ImageError: podman refuses a step.
        EngineUnavailable: podman cannot be reached any more.
        ConfigError: a file cannot be read.
        TreeChanged: a file changed since `tree` was made.
    """
    key = layer_key(image_id, tree)
    where = f"the workspace layer on image {image_id[:12]} ({platform})"
    with _step(where, "looking for it"):
        known = await _find(podman, key)
    if known is not None:
        return known
    with _step(where, "creating a container"):
        draft = await _create(podman, image_id, key, labels, maker)
    try:
        with _step(where, "sending the files"):
            async with made_ahead(stream(tree)) as pieces:
                await draft.container.put_archive("/", pieces)
        with _step(where, "committing"):
            layer = await draft.container.commit(
                repository=REPOSITORY, tag=key[:_TAG_DIGITS], changes=draft.changes, pause=False
            )
    finally:
        await remove_shielded(draft.container)
    return layer


async def layers(podman: Podman) -> list[ImageSummary]:
    """Return the layers on a service, by whatever process; not what somebody made of them.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    images = await podman.images.list(labels={KIND_LABEL: WORKSPACE_KIND})
    return [image for image in images if kind_of(image) == WORKSPACE_KIND]


def layer_key(image_id: str, tree: Tree) -> str:
    """Return the key of the layer that `tree` makes on an image: a SHA-256 in hexadecimal."""
    return hashlib.sha256(f"{_FORMAT}\0{image_id}\0{tree.key}".encode("ascii")).hexdigest()


async def _find(podman: Podman, key: str) -> str | None:
    """Return the layer of a key; an image that somebody made of it has its label, not its name."""
    name = f"{REPOSITORY}:{key[:_TAG_DIGITS]}"
    try:
        image = await podman.images.inspect(name)
    except NotFound:
        return None
    return image.id if image.labels.get(KEY_LABEL) == key else None


async def _create(
    podman: Podman,
    image_id: str,
    key: str,
    labels: Mapping[str, str],
    maker: Mapping[str, str],
) -> _Draft:
    """Create the container that is committed."""
    spec = ContainerSpec(
        image=image_id,
        name=f"barasync-layer-{key[:_TAG_DIGITS]}-{secrets.token_hex(4)}",
        labels=labels,
        no_volumes=True,
    )
    changes = [
        # A commit copies the container's labels; those of a run have no business on an image.
        *(f"LABEL {name}=" for name in labels),
        f"LABEL {KIND_LABEL}={WORKSPACE_KIND}",
        f"LABEL {KEY_LABEL}={key}",
        f"LABEL {BASE_LABEL}={image_id}",
        *(f"LABEL {name}={value}" for name, value in maker.items()),
        f"WORKDIR {WORKSPACE}",
    ]
    try:
        container = await create_shielded(podman.containers, spec)
    except APIError as error:
        if _NO_COMMAND not in error.cause:
            raise
        # Podman 4.3 wants a command where the image has none, and commits it.
        spec = replace(spec, command=(_NEVER_STARTED,))
        container = await create_shielded(podman.containers, spec)
        changes.append("CMD []")
    return _Draft(container=container, changes=tuple(changes))


@contextmanager
def _step(where: str, step: str) -> Iterator[None]:
    """Turn podman's errors into ours, which say what was made and what was being done."""
    try:
        yield
    except TransportError as error:
        raise EngineUnavailable(f"{where}: {step}: {error}") from error
    except (PodmanError, TimeoutError) as error:
        raise ImageError(f"{where} could not be made: {step}: {error}") from error
