from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync.aiopodman.presence import Presence

pytestmark = pytest.mark.anyio


class Service:
    """A socket whose connections the kernel ends when it is closed, as it does for a process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener: socket.socket | None = None

    @property
    def path(self) -> str:
        return str(self._path)

    def begin(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()

    def end(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._path.unlink()
        self._listener = None


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "s")
    service.begin()
    yield service
    service.end()


async def test_the_count_stays_while_the_service_lives(service: Service) -> None:
    async with Presence(service.path) as presence:
        assert [await presence.count() for _ in range(3)] == [0, 0, 0]


async def test_a_service_that_was_back_before_anybody_asked_has_another_count(
    service: Service,
) -> None:
    async with Presence(service.path) as presence:
        before = await presence.count()
        service.end()
        service.begin()
        after = await presence.count()

        assert before != after
        assert after == await presence.count()


async def test_a_service_that_is_away_has_no_count_that_could_be_trusted(service: Service) -> None:
    async with Presence(service.path) as presence:
        before = await presence.count()
        service.end()
        away = await presence.count()
        service.begin()

        assert len({before, away, await presence.count()}) == 3


async def test_nobody_has_to_be_there_to_begin_with(tmp_path: Path) -> None:
    async with Presence(str(tmp_path / "nothing")) as presence:
        assert await presence.count() != await presence.count()
