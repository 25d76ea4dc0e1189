"""A conversation with a container that its own end overtakes."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from barasync.aiopodman import ContainerInspect, ContainerState
from barasync.engine.conversation import Conversation
from barasync.engine.dialogue import Dialogue
from barasync.engine.gate import Gate

pytestmark = pytest.mark.anyio


class Container:
    """One that is in some state whenever it is looked at."""

    id = "c"

    def __init__(self, status: str) -> None:
        self._state = ContainerInspect(id="c", state=ContainerState(status=status, exit_code=7))

    @asynccontextmanager
    async def attach_stdin(self) -> Any:
        yield SimpleNamespace()

    async def start(self) -> None:
        """Do nothing."""

    async def inspect(self) -> ContainerInspect:
        return self._state


@pytest.mark.parametrize(("status", "goes_on"), [("running", True), ("exited", False)])
async def test_a_container_that_is_left_goes_on_only_if_it_has_not_ended(
    status: str, *, goes_on: bool
) -> None:
    async def leave(*_: object) -> bool:
        return True

    async def prepare() -> None:
        """Nothing has to be."""

    container: Any = Container(status)
    other: Any = SimpleNamespace(presence=0)
    conversation = Conversation(
        Dialogue(converse=leave, terminal=True),
        other,
        container,
        other,
        timeout=None,
        grace=0.0,
        gate=Gate(),
        hurry=anyio.Event(),
        before_start=prepare,
    )
    async with AsyncExitStack() as stack:
        await conversation._attach(stack)
        found = await conversation._read()

    assert conversation.detached is goes_on
    assert found.state.exit_code == 7
