"""One run's layers are all made of one state of the project."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from barasync.workspace.source import Source
from barasync.workspace.tree import SCANS, Tree, TreeChanged

pytestmark = pytest.mark.anyio


def tree(key: str) -> Tree:
    return Tree(root=Path("/p"), entries=(), skipped=(), key=key)


class Project:
    """A project that is another one each time it is read."""

    def __init__(self) -> None:
        self.reads = 0

    async def read(self) -> Tree:
        self.reads += 1
        return tree(str(self.reads))


async def fine(made_of: Tree) -> str:
    return f"layer of {made_of.key}"


async def changed(_made_of: Tree) -> str:
    raise TreeChanged("/p/a changed while it was read", hint="Run again.")


async def test_layers_are_made_of_the_tree_that_was_read() -> None:
    project = Project()
    source = Source(tree("0"), project.read)

    assert [await source.layer(fine) for _ in range(2)] == ["layer of 0"] * 2
    assert project.reads == 0


async def test_what_changed_before_the_first_layer_is_read_again() -> None:
    project = Project()
    source = Source(tree("0"), project.read)

    async def make(made_of: Tree) -> str:
        return await (changed(made_of) if made_of.key == "0" else fine(made_of))

    assert await source.layer(make) == "layer of 1"
    assert source.tree.key == "1"


async def test_what_changes_every_time_is_an_error() -> None:
    project = Project()
    source = Source(tree("0"), project.read)

    with pytest.raises(TreeChanged, match=r"^/p/a changed while it was read$"):
        await source.layer(changed)

    assert project.reads == SCANS - 1


async def test_what_changed_after_the_first_layer_is_refused() -> None:
    project = Project()
    source = Source(tree("0"), project.read)
    await source.layer(fine)

    with pytest.raises(
        TreeChanged, match=r"/p/a changed .* other cells of this run have"
    ) as caught:
        await source.layer(changed)

    assert caught.value.hint == "Run again."
    assert project.reads == 0


async def test_a_layer_of_a_state_that_was_given_up_meanwhile_is_made_anew() -> None:
    project = Project()
    source = Source(tree("0"), project.read)
    renewed = anyio.Event()
    made: list[str] = []

    async def slow(made_of: Tree) -> str:
        if made_of.key == "0":
            await renewed.wait()
        return await fine(made_of)

    async def quick(made_of: Tree) -> str:
        if made_of.key == "0":
            return await changed(made_of)
        renewed.set()
        return await fine(made_of)

    async def one() -> None:
        made.append(await source.layer(slow))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        await anyio.lowlevel.checkpoint()
        made.append(await source.layer(quick))

    assert made == ["layer of 1"] * 2
    assert project.reads == 1
