"""Whether a service can be used, and what is said where it cannot."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import anyio
import pytest

from barasync.aiopodman import Container, PodmanError, ServerError
from barasync.config.services import ListensAt
from barasync.engine.readiness import CommandCheck, PortCheck
from barasync.networks.listeners import ListenersUnknown
from tests.unit.fake_podman import refused

pytestmark = pytest.mark.anyio

FULL = refused(ServerError, "no space left on device")


class FakeContainer:
    """Passes its checks where `healthy`, has the `printed` output of those before, or refuses."""

    def __init__(
        self, *printed: str, healthy: bool = False, refuses: PodmanError | None = None
    ) -> None:
        self._log = [SimpleNamespace(output=each) for each in printed]
        self._healthy = healthy
        self._refuses = refuses

    async def check_health(self) -> bool:
        await anyio.lowlevel.checkpoint()
        if self._refuses is not None:
            raise self._refuses
        return self._healthy

    async def inspect(self) -> SimpleNamespace:
        await anyio.lowlevel.checkpoint()
        if self._refuses is not None:
            raise self._refuses
        return SimpleNamespace(state=SimpleNamespace(health=SimpleNamespace(log=self._log)))


def command(container: FakeContainer) -> CommandCheck:
    return CommandCheck(cast("Container", container))


class Ports:
    """Listens at ports, or cannot tell."""

    def __init__(self, *ports: int, problem: ListenersUnknown | None = None) -> None:
        self._ports = frozenset(ports)
        self._problem = problem

    async def ports(self) -> frozenset[int]:
        await anyio.lowlevel.checkpoint()
        if self._problem is not None:
            raise self._problem
        return self._ports


async def test_a_command_that_ends_with_0_has_passed() -> None:
    assert await command(FakeContainer(healthy=True)).passes()


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (("before", "not\nyet\x1b[1m"), "its check fails, and prints not yet"),
        (("",), "its check fails, and prints nothing"),
        ((), "its check did not end"),
    ],
)
async def test_what_a_command_printed_the_last_time_is_said(
    printed: tuple[str, ...], said: str
) -> None:
    check = command(FakeContainer(*printed))

    assert not await check.passes()
    assert await check.said() == said


async def test_a_podman_that_refuses_is_said() -> None:
    check = command(FakeContainer(refuses=FULL))

    assert not await check.passes()
    assert await check.said() == f"podman: {FULL}"


async def test_a_port_passes_once_something_listens_there() -> None:
    assert await PortCheck(ListensAt(5432), Ports(80, 5432)).passes()


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        (Ports(), "nothing listens at 5432/tcp"),
        (Ports(5433, 80), "nothing listens at 5432/tcp, but at 80/tcp, 5433/tcp"),
        (
            Ports(1, 2, 3, 4, 5, 6),
            "nothing listens at 5432/tcp, but at 1/tcp, 2/tcp, 3/tcp, 4/tcp, 5/tcp",
        ),
        (Ports(problem=ListenersUnknown("it cannot be read")), "it cannot be read"),
    ],
)
async def test_where_something_listens_instead_is_said(ports: Ports, said: str) -> None:
    check = PortCheck(ListensAt(5432), ports)

    assert not await check.passes()
    assert await check.said() == said
