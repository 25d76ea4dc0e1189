"""The pruning of workspace layers on real podmans."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, Podman
from barasync.engine.identity import Identity
from barasync.engine.image_uses import UseFiles, note_uses, using
from barasync.engine.pruning import AUTOMATIC, KEPT_LAYERS, KEPT_SECONDS, prune
from barasync.matrix.platforms import Platform
from barasync.workspace.layer import ensure_layer, layers
from barasync.workspace.scan import scan
from tests.contract.running import created
from tests.rig.command import Barasync
from tests.rig.services import RigService
from tests.unit.projects import write

pytestmark = pytest.mark.anyio

DEAD = Identity(host="h", boot="b", namespace="1", pid=7, start=1)
ME = Identity(host="h", boot="b", namespace="1", pid=8, start=2)
LATER = KEPT_SECONDS + 60


@pytest.fixture(autouse=True)
async def nothing_stays(podman: Podman) -> AsyncIterator[None]:
    await remove_layers(podman)
    yield
    with anyio.move_on_after(50, shield=True):
        await remove_layers(podman)


async def remove_layers(podman: Podman) -> None:
    for labels in ({"barasync.kind": "workspace"}, {"test.base": None}):
        for image in await podman.images.list(labels=labels):
            await podman.images.remove(image.id, force=True, missing_ok=True)


async def make(
    podman: Podman, base: str, directory: Path, text: str, maker: Identity = DEAD
) -> str:
    tree = await to_thread.run_sync(scan, write(directory / text, {"a": text}))
    return await ensure_layer(
        podman,
        image_id=base,
        platform=Platform("amd64"),
        tree=tree,
        labels={"barasync.run": "old"},
        maker=maker.maker_labels("old"),
    )


@pytest.fixture
def files(tmp_path: Path) -> UseFiles:
    return UseFiles(uses=tmp_path / "uses", locks=tmp_path / "locks")


async def pruned(podman: Podman, files: UseFiles, *, after: float = 0) -> set[str]:
    done = await prune(
        podman,
        ME,
        run="mine",
        bounds=AUTOMATIC,
        files=files,
        now=time.time() + after,
        start_of={8: 2}.get,
    )
    # What other tests have left of other kinds is too old by then as well.
    return {image.id for image in done.images if image.kind == "workspace"}


async def present(podman: Podman) -> set[str]:
    return {layer.id for layer in await layers(podman)}


async def test_layers_that_are_too_old_go_and_what_a_run_uses_stays(
    podman: Podman, busybox: str, tmp_path: Path, files: UseFiles
) -> None:
    old, used, alive = [
        await make(podman, busybox, tmp_path, name, maker)
        for name, maker in (("old", DEAD), ("used", DEAD), ("alive", ME))
    ]

    async with using(files, "another", clock=time.time) as uses:
        await uses.hold(used)
        assert await pruned(podman, files) == set()
        assert await pruned(podman, files, after=LATER) == {old}
    assert await present(podman) == {used, alive}
    await podman.images.inspect(busybox)


async def test_a_layer_that_was_used_lately_is_not_too_old(
    podman: Podman, busybox: str, tmp_path: Path, files: UseFiles
) -> None:
    old, used = [await make(podman, busybox, tmp_path, name) for name in ("old", "used")]
    await to_thread.run_sync(note_uses, files.uses, {used}, time.time() + LATER - 60)

    assert await pruned(podman, files, after=LATER) == {old}
    assert await present(podman) == {used}


async def test_after_a_run_there_are_no_more_layers_than_are_kept_those_that_were_used_last(
    podman: Podman, service: RigService, busybox: str, tmp_path: Path
) -> None:
    """The first layer was made before all others, and used again after them."""
    nobody = replace(await to_thread.run_sync(Identity.current), start=1)
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    async def use(name: str) -> None:
        """Run a cell in a layer of a project of that name."""
        config = f'[defaults]\nimage = "{busybox}"\ncommand = ["cat", "name"]'
        project = write(tmp_path / name, {"name": name, "barasync.toml": config})
        barasync = Barasync(project, service.endpoint.url, environ)
        ended = await to_thread.run_sync(barasync, "matrix", "tests")
        assert ended.code == 0, ended.err

    await use("first")
    (first,) = await present(podman)
    made = [await make(podman, busybox, tmp_path, f"p{n}", nobody) for n in range(KEPT_LAYERS - 1)]
    await use("first")
    assert await present(podman) == {first, *made}

    await use("latest")

    left = await present(podman)
    assert len(left) == KEPT_LAYERS
    assert first in left
    assert len(left & set(made)) == KEPT_LAYERS - 2


async def test_what_a_container_or_an_image_is_made_of_stays(
    podman: Podman, busybox: str, tmp_path: Path, files: UseFiles
) -> None:
    contained, parent, free = [
        await make(podman, busybox, tmp_path, name) for name in ("contained", "parent", "free")
    ]
    async with created(podman, ContainerSpec(image=parent, command=("true",))) as container:
        child = await container.commit(
            repository="localhost/mine", tag="1", changes=("LABEL test.base=1",)
        )

    async with created(podman, ContainerSpec(image=contained, command=("true",))):
        removed = await pruned(podman, files, after=LATER)

    assert removed == {free}
    assert await present(podman) == {contained, parent}
    await podman.images.remove(child)


async def test_an_image_without_a_name_does_not_go_with_its_layer(
    podman: Podman, busybox: str, tmp_path: Path, files: UseFiles
) -> None:
    async with created(podman, ContainerSpec(image=busybox, command=("true",))) as container:
        base = await container.commit(
            repository="localhost/test-nameless", tag="1", changes=("LABEL test.base=1",)
        )
    await podman.images.untag(base, "localhost/test-nameless", "1")
    layer = await make(podman, base, tmp_path, "nameless")

    assert await pruned(podman, files, after=LATER) == set()

    await podman.images.remove(layer)
    left = {image.id for image in await podman.images.list(labels={"test.base": None})}
    assert left == set(), "podman leaves such an image alone by now: nothing need be kept for it"


async def test_nothing_is_pruned_beside_a_run_that_does_not_say_what_it_uses(
    podman: Podman, busybox: str, tmp_path: Path, files: UseFiles
) -> None:
    old = await make(podman, busybox, tmp_path, "old")
    cell = ContainerSpec(image=busybox, command=("true",), labels=ME.labels("another"))

    async with created(podman, cell):
        assert await pruned(podman, files, after=LATER) == set()
        async with using(files, "another", clock=time.time):
            assert await pruned(podman, files, after=LATER) == {old}

    left_behind = ContainerSpec(image=busybox, command=("true",), labels=DEAD.labels("dead"))
    old = await make(podman, busybox, tmp_path, "old")
    async with created(podman, left_behind):
        assert await pruned(podman, files, after=LATER) == {old}
