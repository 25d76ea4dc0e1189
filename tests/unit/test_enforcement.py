"""What was started is what has the rules: told by the process that they were loaded for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from barasync.aiopodman import ContainerInspect, ContainerState
from barasync.config.policies import PRESETS
from barasync.engine.enforcement import enforced
from barasync.engine.networks import CellNetwork
from barasync.networks.namespace import NamespaceError

pytestmark = pytest.mark.anyio


@dataclass
class Namespace:
    """A namespace with whatever was loaded; a table that is there cannot be created."""

    lives: bool
    same: bool = True
    loaded: list[str] = field(default_factory=list)

    def unchanged(self) -> bool:
        return self.same

    async def load(self, text: str) -> None:
        if self.loaded and text.startswith("create "):
            raise NamespaceError("File exists")
        self.loaded.append(text)

    async def listing(self) -> bytes:
        return b""


@dataclass
class Container:
    """A container whose first process podman tells."""

    pid: int
    id: str = "c"

    async def inspect(self) -> ContainerInspect:
        return ContainerInspect(id=self.id, state=ContainerState(pid=self.pid))


@pytest.fixture(autouse=True)
def all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barasync.engine.enforcement.missing", lambda _rules, _listing: None)


async def confirm(*, lives: bool, same: bool) -> None:
    @asynccontextmanager
    async def enter(_pid: int, _container_id: str) -> AsyncIterator[Namespace]:
        yield Namespace(lives, same)

    container: Any = Container(pid=42)
    async with enforced(PRESETS["local"], CellNetwork(), enter, alias="c") as enforcement:
        await enforcement.apply(container)
        await enforcement.confirm()


async def test_a_process_that_lives_is_the_one_with_the_rules() -> None:
    await confirm(lives=True, same=False)


async def test_a_command_may_have_ended_by_then() -> None:
    await confirm(lives=False, same=True)


async def test_a_container_that_was_made_anew_is_without_rules_though_it_has_ended() -> None:
    with pytest.raises(NamespaceError, match="'local' is not known to have been enforced"):
        await confirm(lives=False, same=False)


async def test_rules_of_an_earlier_try_are_replaced() -> None:
    namespace = Namespace(lives=True)

    @asynccontextmanager
    async def enter(_pid: int, _container_id: str) -> AsyncIterator[Namespace]:
        yield namespace

    container: Any = Container(pid=42)
    async with enforced(PRESETS["local"], CellNetwork(), enter, alias="c") as enforcement:
        await enforcement.apply(container)
        await enforcement.apply(container)

    assert len(namespace.loaded) == 2
